"""Whose an experiment is, as a column: the workbench filters by it"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH = 1000


def upgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(63), nullable=True))
        batch_op.create_index("ix_experiment_owner", ["owner", "accepted_ms", "id"])
    experiment = sa.table("experiment", sa.column("id"), sa.column("spec"), sa.column("owner"))
    bind = op.get_bind()
    last = ""
    while True:
        rows = bind.execute(
            sa.select(experiment.c.id, experiment.c.spec)
            .where(experiment.c.id > last)
            .order_by(experiment.c.id)
            .limit(BATCH)
        ).all()
        if not rows:
            return
        owners = [{"key": id, "name": json.loads(spec).get("meta", {}).get("owner")} for id, spec in rows]
        if owned := [row for row in owners if row["name"]]:
            bind.execute(
                sa.update(experiment).where(experiment.c.id == sa.bindparam("key")).values(owner=sa.bindparam("name")),
                owned,
            )
        last = rows[-1][0]


def downgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_index("ix_experiment_owner")
        batch_op.drop_column("owner")
