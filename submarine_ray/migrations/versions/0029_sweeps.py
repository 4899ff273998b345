"""Trials that are stopped, and samples that a sweep's driver has yet to take up"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("unheard_samples", sa.Integer(), nullable=True))
    op.create_table(
        "stopped_trial",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("trial_id", sa.String(length=250), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "trial_id", name=op.f("pk_stopped_trial")),
    )


def downgrade() -> None:
    op.drop_table("stopped_trial")
    with op.batch_alter_table("experiment") as batch:
        batch.drop_column("unheard_samples")
