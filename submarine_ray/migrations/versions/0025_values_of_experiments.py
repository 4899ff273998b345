"""What experiments logged, for tables that are filtered and sorted by it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_TEXT = sa.String(length=250).with_variant(mysql.VARCHAR(250, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "value_name",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_value_name")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_value_name_kind_name")),
    )
    op.create_table(
        "experiment_value",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("name_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("text", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "name_id", name=op.f("pk_experiment_value")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_experiment_value_number", "experiment_value", ["name_id", "number", "experiment_id"])
    op.create_index("ix_experiment_value_text", "experiment_value", ["name_id", "text", "experiment_id"])
    op.create_table(
        "experiment_value_look",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", name=op.f("pk_experiment_value_look")),
    )
    op.create_index("ix_experiment_value_look_next_ms", "experiment_value_look", ["next_ms"])
    # What ran before is looked at once, too.
    op.execute("INSERT INTO experiment_value_look (experiment_id, next_ms) SELECT id, 0 FROM experiment")


def downgrade() -> None:
    op.drop_table("experiment_value_look")
    op.drop_table("experiment_value")
    op.drop_table("value_name")
