"""Which run has begun an attempt"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "begun",
        sa.Column("submission", sa.String(length=128), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=64), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("submission"),
    )
    with op.batch_alter_table("begun", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_begun_experiment_id"), ["experiment_id"], unique=False)


def downgrade() -> None:
    op.drop_table("begun")
