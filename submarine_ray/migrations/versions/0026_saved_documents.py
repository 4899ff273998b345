"""Documents that users keep in the service"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_LONG = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def _exact(length: int) -> sa.String:
    return sa.String(length=length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "saved",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("name", _exact(120), nullable=False),
        sa.Column("owner", _exact(128), nullable=False),
        sa.Column("audience", sa.String(length=10), nullable=False),
        sa.Column("document", _LONG, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved")),
        sa.UniqueConstraint("kind", "owner", "name", name=op.f("uq_saved_kind_owner_name")),
    )
    op.create_index("ix_saved_seen", "saved", ["kind", "audience"])


def downgrade() -> None:
    op.drop_table("saved")
