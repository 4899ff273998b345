"""When a running attempt is to be stopped, by a clock that nobody sets; until now it followed from when it began"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deadline_ms", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE experiment SET deadline_ms = running_ms + timeout_seconds * 1000 "
        "WHERE running_ms IS NOT NULL AND timeout_seconds IS NOT NULL AND finished_ms IS NULL"
    )


def downgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_column("deadline_ms")
