"""Notebooks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _long_text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql")


def upgrade() -> None:
    op.create_table(
        "notebook",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("taken", sa.String(length=160), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("cluster", sa.String(length=63), nullable=False),
        sa.Column("spec", _long_text(), nullable=False),
        sa.Column("environment", _long_text(), nullable=False),
        sa.Column("sealed_token", _long_text(), nullable=False),
        sa.Column("wanted", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", _long_text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("superseded", _long_text(), nullable=False),
        sa.Column("incarnation", sa.String(length=128), nullable=True),
        sa.Column("address", sa.String(length=255), nullable=True),
        sa.Column("demand_cpu", sa.Double(), nullable=False),
        sa.Column("demand_memory", sa.BigInteger(), nullable=False),
        sa.Column("demand_gpu", sa.Double(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("next_check_ms", sa.BigInteger(), nullable=True),
        sa.Column("lock_token", sa.String(length=100), nullable=True),
        sa.Column("lock_expires_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notebook")),
        sa.UniqueConstraint("taken", name=op.f("uq_notebook_taken")),
    )
    with op.batch_alter_table("notebook", schema=None) as batch_op:
        batch_op.create_index("ix_notebook_list", ["created_ms", "id"], unique=False)
        batch_op.create_index("ix_notebook_cluster", ["cluster", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_notebook_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_notebook_next_check_ms"), ["next_check_ms"], unique=False)


def downgrade() -> None:
    op.drop_table("notebook")
