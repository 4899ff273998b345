"""Launches that wait to be fetched"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "launch",
        sa.Column("submission", sa.String(length=128), nullable=False),
        sa.Column(
            "sealed",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=True),
        sa.Column("taken_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("submission"),
    )


def downgrade() -> None:
    op.drop_table("launch")
