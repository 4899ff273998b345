"""Which share of a model's requests each of its served versions takes"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql")


def upgrade() -> None:
    op.create_table(
        "traffic",
        sa.Column("model_name", sa.String(128), primary_key=True),
        sa.Column("cluster", sa.String(63), nullable=False),
        sa.Column("weights", LONG_TEXT, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("message", LONG_TEXT, nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_traffic_cluster", "traffic", ["cluster"])


def downgrade() -> None:
    op.drop_table("traffic")
