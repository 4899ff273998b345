"""The environments that ship with the service have no image: Submarine's have no Ray in them, and no pod starts"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SHIPPED = {
    "notebook-env": "apache/submarine:jupyter-notebook-0.8.0",
    "notebook-gpu-env": "apache/submarine:jupyter-notebook-gpu-0.8.0",
}
environment = sa.table("environment", sa.column("name", sa.String), sa.column("spec", sa.Text))


def upgrade() -> None:
    """Only where nobody has put another image in its place."""
    for name, spec in _specs().items():
        if spec.get("dockerImage") == SHIPPED[name]:
            _write(name, {key: value for key, value in spec.items() if key != "dockerImage"})


def downgrade() -> None:
    for name, spec in _specs().items():
        if not spec.get("dockerImage") and not spec.get("image"):
            _write(name, {**spec, "dockerImage": SHIPPED[name]})


def _specs() -> dict[str, dict[str, object]]:
    rows = op.get_bind().execute(sa.select(environment).where(environment.c.name.in_(SHIPPED)))
    return {row.name: json.loads(row.spec) for row in rows}


def _write(name: str, spec: dict[str, object]) -> None:
    op.get_bind().execute(sa.update(environment).where(environment.c.name == name).values(spec=json.dumps(spec)))
