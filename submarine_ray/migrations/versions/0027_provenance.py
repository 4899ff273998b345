"""The packages and the commit that attempts ran with"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "package_set",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("packages", sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb"), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_package_set")),
    )
    op.create_table(
        "experiment_provenance",
        sa.Column("submission", sa.String(length=128), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("python", sa.String(length=128), nullable=False),
        sa.Column("platform", sa.String(length=128), nullable=False),
        sa.Column("packages", sa.String(length=64), nullable=False),
        sa.Column("git_commit", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("submission", name=op.f("pk_experiment_provenance")),
    )
    op.create_index(op.f("ix_experiment_provenance_experiment_id"), "experiment_provenance", ["experiment_id"])


def downgrade() -> None:
    op.drop_table("experiment_provenance")
    op.drop_table("package_set")
