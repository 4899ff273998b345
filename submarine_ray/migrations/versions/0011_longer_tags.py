"""Tags of experiments have up to 256 characters, as Submarine's"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _resize(128, 256)


def downgrade() -> None:
    tags = sa.table("experiment_tag", sa.column("tag", sa.String))
    op.get_bind().execute(sa.delete(tags).where(sa.func.length(tags.c.tag) > 128))
    _resize(256, 128)


def _resize(before: int, after: int) -> None:
    with op.batch_alter_table("experiment_tag", schema=None) as batch_op:
        batch_op.alter_column(
            "tag", existing_type=sa.String(length=before), type_=sa.String(length=after), existing_nullable=False
        )
