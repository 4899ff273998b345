"""Clusters are looked at by one control service at a time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

COLUMNS = ("node_ids", "starting", "grace", "generation", "next_check_ms", "lock_token", "lock_expires_ms")


def upgrade() -> None:
    long_text = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    with op.batch_alter_table("cluster", schema=None) as batch_op:
        batch_op.add_column(sa.Column("node_ids", long_text, nullable=True))
        batch_op.add_column(sa.Column("starting", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("grace", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("generation", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("next_check_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("lock_token", sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column("lock_expires_ms", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_cluster_next_check_ms"), ["next_check_ms"], unique=False)
    op.execute("UPDATE cluster SET next_check_ms = 0")


def downgrade() -> None:
    with op.batch_alter_table("cluster", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_cluster_next_check_ms"))
        for name in reversed(COLUMNS):
            batch_op.drop_column(name)
