"""All SQL about what users marked and opened."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.orm import Session

from submarine_ray.core.database import add_new
from submarine_ray.search.tables import VisitRow
from submarine_ray.spec.places import ObjectKind

KEPT = 100  # things that a user has opened


@dataclass(frozen=True)
class Thing:
    """What a visit is to; see `spec/places.py`."""

    kind: ObjectKind
    key: str


def opened(session: Session, user: str, thing: Thing, now: int) -> bool:
    """Note that a user has opened a page, and drop what they opened longest ago. Whether it is a favourite."""
    row = _find(session, user, thing)
    if row is not None:
        row.opened_ms = now
        return row.starred_ms is not None
    add_new(session, VisitRow(user=user, kind=thing.kind, object=thing.key, opened_ms=now), thing.key)
    mine = VisitRow.user == user, VisitRow.opened_ms.is_not(None)
    oldest = session.scalar(
        select(VisitRow.opened_ms).where(*mine).order_by(VisitRow.opened_ms.desc()).offset(KEPT).limit(1)
    )
    if oldest is not None:
        past = *mine, VisitRow.opened_ms <= oldest
        session.execute(delete(VisitRow).where(*past, VisitRow.starred_ms.is_(None)))
        session.execute(update(VisitRow).where(*past).values(opened_ms=None))
    return False


def star(session: Session, user: str, thing: Thing, now: int | None) -> None:
    """Mark a thing as a favourite; with None, take the mark away. Raises AlreadyExists if another notes it now."""
    row = _find(session, user, thing)
    if row is not None:
        row.starred_ms = now and (row.starred_ms or now)
        if row.starred_ms is None and row.opened_ms is None:
            session.delete(row)
    elif now:
        add_new(session, VisitRow(user=user, kind=thing.kind, object=thing.key, starred_ms=now), thing.key)


def count_starred(session: Session, user: str) -> int:
    return session.scalar(select(func.count()).select_from(VisitRow).where(*_starred(user))) or 0


def starred(session: Session, user: str) -> list[Thing]:
    """A user's favourites, the newest first."""
    query = select(VisitRow).where(*_starred(user)).order_by(VisitRow.starred_ms.desc(), VisitRow.object)
    return [_thing(row) for row in session.scalars(query)]


def starred_of(session: Session, user: str, things: Collection[Thing]) -> set[Thing]:
    """Those of some things that are a user's favourites."""
    keys = [(thing.kind.value, thing.key) for thing in things]
    query = select(VisitRow).where(*_starred(user), tuple_(VisitRow.kind, VisitRow.object).in_(keys))
    return {_thing(row) for row in session.scalars(query)} if keys else set()


def starred_keys(session: Session, user: str, kind: ObjectKind) -> set[str]:
    """The keys of a user's favourites of a kind."""
    return set(session.scalars(select(VisitRow.object).where(*_starred(user), VisitRow.kind == kind.value)))


def recent(session: Session, user: str, limit: int) -> list[Thing]:
    """What a user opened last and has not marked, the newest first."""
    query = select(VisitRow).where(
        VisitRow.user == user, VisitRow.opened_ms.is_not(None), VisitRow.starred_ms.is_(None)
    )
    return [_thing(row) for row in session.scalars(query.order_by(VisitRow.opened_ms.desc()).limit(limit))]


def forget(session: Session, things: Collection[Thing]) -> None:
    """Drop what is no longer there, for all users."""
    keys = [(thing.kind.value, thing.key) for thing in things]
    if keys:
        session.execute(delete(VisitRow).where(tuple_(VisitRow.kind, VisitRow.object).in_(keys)))


def _find(session: Session, user: str, thing: Thing) -> VisitRow | None:
    return session.get(VisitRow, (user, thing.kind.value, thing.key))


def _starred(user: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return VisitRow.user == user, VisitRow.starred_ms.is_not(None)


def _thing(row: VisitRow) -> Thing:
    return Thing(ObjectKind(row.kind), row.object)
