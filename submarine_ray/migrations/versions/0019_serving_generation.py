"""Which generation a cluster's Serve has, in the place of what was last put there"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("serving", schema=None) as batch_op:
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("next_check_ms", sa.BigInteger(), nullable=True))
        batch_op.drop_column("applied")
        batch_op.create_index("ix_serving_next_check_ms", ["next_check_ms"], unique=False)
    op.execute("UPDATE serving SET next_check_ms = 0")


def downgrade() -> None:
    with op.batch_alter_table("serving", schema=None) as batch_op:
        batch_op.drop_index("ix_serving_next_check_ms")
        batch_op.add_column(
            sa.Column(
                "applied", sa.Text().with_variant(sa.dialects.mysql.LONGTEXT(), "mysql", "mariadb"), nullable=True
            )
        )
        batch_op.drop_column("next_check_ms")
        batch_op.drop_column("generation")
