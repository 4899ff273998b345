"""All SQL about saved documents. Every read is by a reader: others' private documents are not there."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from submarine_ray.core.database import add_new
from submarine_ray.saved.tables import SavedRow
from submarine_ray.spec.saved import Audience


def _readable(reader: str) -> ColumnElement[bool]:
    return or_(SavedRow.owner == reader, SavedRow.audience == Audience.TEAM)


def add(session: Session, row: SavedRow) -> None:
    """Raises AlreadyExists."""
    add_new(session, row, is_taken(row.name))


def is_taken(name: str) -> str:
    """What is said of a name that its owner has used for another document of the kind."""
    return f"You have saved {name!r} already; change that one, or choose another name."


def find(session: Session, id: str, reader: str, lock: bool = False) -> SavedRow | None:
    """A document; with `lock`, nobody else changes it before this transaction ends."""
    query = select(SavedRow).where(SavedRow.id == id, _readable(reader))
    return session.scalars(query.with_for_update() if lock else query).first()


def list_all(session: Session, kind: str, reader: str) -> list[SavedRow]:
    """Those of a kind, by name."""
    query = select(SavedRow).where(SavedRow.kind == kind, _readable(reader))
    return list(session.scalars(query.order_by(SavedRow.name, SavedRow.id)))


def names(session: Session, kind: str, reader: str) -> list[tuple[str, str]]:
    """The ids and names of those of a kind, by name."""
    query = select(SavedRow.id, SavedRow.name).where(SavedRow.kind == kind, _readable(reader))
    return [(id, name) for id, name in session.execute(query.order_by(SavedRow.name, SavedRow.id))]


def count(session: Session, kind: str, owner: str) -> int:
    query = select(func.count()).select_from(SavedRow).where(SavedRow.kind == kind, SavedRow.owner == owner)
    return session.scalar(query) or 0


def has_name(session: Session, row: SavedRow, name: str) -> bool:
    """Whether another document of the row's kind and owner has this name."""
    same = SavedRow.kind == row.kind, SavedRow.owner == row.owner, SavedRow.name == name, SavedRow.id != row.id
    return session.scalar(select(SavedRow.id).where(*same).limit(1)) is not None


def remove(session: Session, id: str) -> None:
    session.execute(delete(SavedRow).where(SavedRow.id == id))
