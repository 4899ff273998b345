"""Alembic's environment; the engine comes from core.database."""

from __future__ import annotations

from alembic import context

from submarine_ray.access import tables as _access  # noqa: F401 (its tables join the metadata)
from submarine_ray.clusters import tables as _clusters  # noqa: F401
from submarine_ray.core.database import Table
from submarine_ray.core.events import EventRow as _EventRow  # noqa: F401
from submarine_ray.environments import tables as _environments  # noqa: F401
from submarine_ray.experiments import sweep_rows as _sweeps  # noqa: F401
from submarine_ray.experiments import tables as _experiments  # noqa: F401
from submarine_ray.notebooks import tables as _notebooks  # noqa: F401
from submarine_ray.notices import tables as _notices  # noqa: F401
from submarine_ray.saved import tables as _saved  # noqa: F401
from submarine_ray.search import tables as _search  # noqa: F401
from submarine_ray.serving import tables as _serving  # noqa: F401
from submarine_ray.templates import tables as _templates  # noqa: F401

with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
