"""All SQL about clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.clock import now_ms
from submarine_ray.core.errors import AlreadyExists


def find(session: Session, name: str) -> ClusterRow | None:
    return session.get(ClusterRow, name)


def list_all(session: Session) -> list[ClusterRow]:
    return list(session.scalars(select(ClusterRow).order_by(ClusterRow.name)))


def add(session: Session, row: ClusterRow) -> None:
    """Raises AlreadyExists."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(
            f"A cluster named {row.name!r} exists; choose another name or delete it first."
        ) from failure


def remove(session: Session, name: str) -> None:
    session.execute(delete(ClusterRow).where(ClusterRow.name == name))


def change(session: Session, name: str, values: Mapping[str, Any]) -> None:
    """Change the wish."""
    session.execute(update(ClusterRow).where(ClusterRow.name == name).values(**values))


def record(session: Session, name: str, observed: Mapping[str, Any]) -> None:
    """Note what was just seen of a cluster; what is not named stays as last seen."""
    session.execute(update(ClusterRow).where(ClusterRow.name == name).values(observed_ms=now_ms(), **observed))
