"""Metrics of endpoints, which every service shows alike"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endpoint_look",
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name=op.f("pk_endpoint_look")),
    )
    op.create_table(
        "endpoint_counts",
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.Double(), nullable=False),
        sa.Column("buckets", sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name", "at_ms", name=op.f("pk_endpoint_counts")),
    )
    with op.batch_alter_table("endpoint_counts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoint_counts_at_ms"), ["at_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("endpoint_counts")
    op.drop_table("endpoint_look")
