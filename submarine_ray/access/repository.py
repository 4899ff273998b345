"""All SQL about sign-ins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from sqlalchemy import CursorResult, Result, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.access.tables import LinkRow, SessionRow, SpentTicketRow
from submarine_ray.core.errors import AlreadyExists


def add(session: Session, row: SessionRow | LinkRow) -> None:
    session.add(row)


def find(session: Session, secret_hash: str) -> SessionRow | None:
    return session.scalars(select(SessionRow).where(SessionRow.secret_hash == secret_hash)).first()


def find_id(session: Session, id: str) -> SessionRow | None:
    return session.get(SessionRow, id)


def which(session: Session, ids: Collection[str]) -> set[str]:
    """Those of these sessions that there still are."""
    return set(session.scalars(select(SessionRow.id).where(SessionRow.id.in_(ids))))


def spend(session: Session, number: str, expires_ms: int) -> None:
    """Note that a ticket was used. Raises AlreadyExists if it was before: of two at once, one succeeds."""
    session.add(SpentTicketRow(number=number, expires_ms=expires_ms))
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists("This ticket has been used.") from failure


def list_all(session: Session, now_ms: int) -> list[SessionRow]:
    """Those that have not expired, newest first."""
    query = select(SessionRow).where(SessionRow.expires_ms > now_ms).order_by(SessionRow.created_ms.desc())
    return list(session.scalars(query))


def note_use(session: Session, id: str, now_ms: int) -> None:
    session.execute(update(SessionRow).where(SessionRow.id == id).values(used_ms=now_ms))


def remove(session: Session, id: str) -> bool:
    """Whether there was one."""
    return _count(session.execute(delete(SessionRow).where(SessionRow.id == id))) == 1


def remove_expired(session: Session, now_ms: int) -> None:
    session.execute(delete(SessionRow).where(SessionRow.expires_ms <= now_ms))
    session.execute(delete(LinkRow).where(LinkRow.expires_ms <= now_ms))
    session.execute(delete(SpentTicketRow).where(SpentTicketRow.expires_ms <= now_ms))


def take_link(session: Session, secret_hash: str, credential: str, now_ms: int) -> bool:
    """Use a link up; of two who try at once, one succeeds."""
    mine = LinkRow.secret_hash == secret_hash, LinkRow.credential == credential, LinkRow.expires_ms > now_ms
    return _count(session.execute(delete(LinkRow).where(*mine))) == 1


def _count(result: Result[Any]) -> int:
    return int(cast(CursorResult[Any], result).rowcount)
