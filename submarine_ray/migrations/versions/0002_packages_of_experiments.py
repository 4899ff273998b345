"""Which package an experiment's code came in, so that packages that nobody refers to can go"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("package", sa.String(length=80), nullable=True))
        batch_op.create_index(batch_op.f("ix_experiment_package"), ["package"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_experiment_package"))
        batch_op.drop_column("package")
