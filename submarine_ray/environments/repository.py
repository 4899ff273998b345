"""All SQL about environments."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from submarine_ray.core.database import add_new
from submarine_ray.core.paging import Cursor, after
from submarine_ray.environments.tables import EnvironmentRow


def add(session: Session, row: EnvironmentRow) -> None:
    """Raises AlreadyExists."""
    add_new(session, row, f"An environment named {row.name!r} exists; PATCH changes it, or choose another name.")


def find(session: Session, name: str, lock: bool = False) -> EnvironmentRow | None:
    """An environment; with `lock`, nobody else changes it before this transaction ends."""
    query = select(EnvironmentRow).where(EnvironmentRow.name == name)
    return session.scalars(query.with_for_update() if lock else query).first()


def page(session: Session, limit: int | None, cursor: Cursor | None) -> list[EnvironmentRow]:
    """Oldest first."""
    query = select(EnvironmentRow).order_by(EnvironmentRow.created_ms, EnvironmentRow.id)
    return list(session.scalars(after(query, EnvironmentRow.created_ms, EnvironmentRow.id, limit, cursor)))


def names(session: Session) -> list[str]:
    return list(session.scalars(select(EnvironmentRow.name).order_by(EnvironmentRow.name)))


def remove(session: Session, name: str) -> None:
    session.execute(delete(EnvironmentRow).where(EnvironmentRow.name == name))
