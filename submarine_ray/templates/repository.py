"""All SQL about templates."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from submarine_ray.core.database import add_new
from submarine_ray.templates.tables import TemplateRow


def add(session: Session, row: TemplateRow) -> None:
    """Raises AlreadyExists."""
    add_new(session, row, f"A template named {row.name!r} exists; PATCH changes it, or choose another name.")


def find(session: Session, name: str, lock: bool = False) -> TemplateRow | None:
    """A template; with `lock`, nobody else changes it before this transaction ends."""
    query = select(TemplateRow).where(TemplateRow.name == name)
    return session.scalars(query.with_for_update() if lock else query).first()


def page(session: Session, limit: int | None, after: int) -> list[TemplateRow]:
    """Oldest first, behind the id `after`; one more than `limit`."""
    query = select(TemplateRow).where(TemplateRow.id > after).order_by(TemplateRow.id)
    return list(session.scalars(query.limit(limit + 1) if limit is not None else query))


def names(session: Session) -> list[str]:
    return list(session.scalars(select(TemplateRow.name).order_by(TemplateRow.name)))


def library_names(session: Session) -> set[str]:
    return set(session.scalars(select(TemplateRow.name).where(TemplateRow.library)))


def remove(session: Session, name: str) -> None:
    session.execute(delete(TemplateRow).where(TemplateRow.name == name))
