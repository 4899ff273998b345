"""Notices, who follows what, and what users do not want to be told"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_USER = sa.String(length=128).with_variant(mysql.VARCHAR(128, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "follow",
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("user", _USER, nullable=False),
        sa.PrimaryKeyConstraint("subject", "user", name=op.f("pk_follow")),
    )
    op.create_index("ix_follow_user", "follow", ["user"])
    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user", _USER, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index("ix_notice_user", "notice", ["user", "id"])
    op.create_index("ix_notice_unread", "notice", ["user", "is_read"])
    op.create_index("ix_notice_subject", "notice", ["subject", "id"])
    op.create_index("ix_notice_time_ms", "notice", ["time_ms"])
    op.create_table(
        "notice_muted",
        sa.Column("user", _USER, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("user", "kind", name=op.f("pk_notice_muted")),
    )


def downgrade() -> None:
    for table in ("notice_muted", "notice", "follow"):
        op.drop_table(table)
