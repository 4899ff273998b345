"""Attempts that others have followed, each with its spec, its outcome and its run"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    long_text = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    op.create_table(
        "experiment_attempt",
        sa.Column("submission", sa.String(length=128), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("spec", long_text, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("message", long_text, nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("log_path", sa.String(length=32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=True),
        sa.Column("running_ms", sa.BigInteger(), nullable=True),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("submission", name=op.f("pk_experiment_attempt")),
    )
    with op.batch_alter_table("experiment_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_experiment_attempt_experiment_id"), ["experiment_id"], unique=False)


def downgrade() -> None:
    op.drop_table("experiment_attempt")
