"""Clusters on Kubernetes, and how long an attempt may run"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _long_text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql")


def upgrade() -> None:
    with op.batch_alter_table("cluster", schema=None) as batch_op:
        batch_op.add_column(sa.Column("uid", sa.String(36), nullable=True))
        batch_op.add_column(sa.Column("spec", _long_text(), nullable=True))
        batch_op.add_column(sa.Column("sealed_kubeconfig", _long_text(), nullable=True))
        batch_op.add_column(sa.Column("deleting", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("timeout_seconds", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_column("timeout_seconds")
    with op.batch_alter_table("cluster", schema=None) as batch_op:
        for column in ("deleting", "sealed_kubeconfig", "spec", "uid"):
            batch_op.drop_column(column)
