"""Tickets to content that were used, at whichever service"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spent_ticket",
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_spent_ticket")),
    )
    with op.batch_alter_table("spent_ticket", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spent_ticket_expires_ms"), ["expires_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("spent_ticket")
