"""Environments, templates, and the tags of experiments"""

from __future__ import annotations

import json
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What Submarine's installation starts with (its database's first rows), at its last release's images.
DEFAULTS = {
    "notebook-env": "apache/submarine:jupyter-notebook-0.8.0",
    "notebook-gpu-env": "apache/submarine:jupyter-notebook-gpu-0.8.0",
}


def _long_text() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql")


def upgrade() -> None:
    environment = op.create_table(
        "environment",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("spec", _long_text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_environment")),
        sa.UniqueConstraint("id", name=op.f("uq_environment_id")),
    )
    with op.batch_alter_table("environment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_environment_created_ms"), ["created_ms"], unique=False)
    op.create_table(
        "template",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("spec", _long_text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sa.UniqueConstraint("name", name=op.f("uq_template_name")),
    )
    tag = op.create_table(
        "experiment_tag",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "tag", name=op.f("pk_experiment_tag")),
    )
    with op.batch_alter_table("experiment_tag", schema=None) as batch_op:
        batch_op.create_index("ix_experiment_tag_tag", ["tag", "experiment_id"], unique=False)
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("environment", _long_text(), nullable=True))
    _fill(environment, tag)


def _fill(environment: sa.Table, tag: sa.Table) -> None:
    """The default environments; and what the experiments that are there already say in their specs."""
    now = int(time.time() * 1000)
    kernel = {"name": "submarine_jupyter_py3", "channels": ["defaults"], "condaDependencies": [], "pipDependencies": []}
    op.bulk_insert(
        environment,
        [
            {
                "name": name,
                "id": f"environment_{now}_{number:04d}",
                "spec": json.dumps({"name": name, "dockerImage": image, "kernelSpec": kernel}),
                "created_ms": now + number,
                "changed_ms": now,
            }
            for number, (name, image) in enumerate(DEFAULTS.items(), 1)
        ],
    )
    experiment = sa.table("experiment", sa.column("id"), sa.column("spec"), sa.column("environment"))
    connection = op.get_bind()
    for id, text in connection.execute(sa.select(experiment.c.id, experiment.c.spec)).all():
        spec = json.loads(text)
        if spec.get("environment"):
            changed = sa.update(experiment).where(experiment.c.id == id)
            connection.execute(changed.values(environment=json.dumps(spec["environment"])))
        tags = [value for value in dict.fromkeys(spec["meta"].get("tags", [])) if 0 < len(value) <= 128]
        if tags:
            op.bulk_insert(tag, [{"experiment_id": id, "tag": value} for value in tags])


def downgrade() -> None:
    with op.batch_alter_table("experiment", schema=None) as batch_op:
        batch_op.drop_column("environment")
    for table in ("experiment_tag", "template", "environment"):
        op.drop_table(table)
