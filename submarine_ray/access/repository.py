"""All SQL about sign-ins."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Result, delete, select, update
from sqlalchemy.orm import Session

from submarine_ray.access.tables import LinkRow, SessionRow


def add(session: Session, row: SessionRow | LinkRow) -> None:
    session.add(row)


def find(session: Session, secret_hash: str) -> SessionRow | None:
    return session.scalars(select(SessionRow).where(SessionRow.secret_hash == secret_hash)).first()


def find_id(session: Session, id: str) -> SessionRow | None:
    return session.get(SessionRow, id)


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


def take_link(session: Session, secret_hash: str, credential: str, now_ms: int) -> bool:
    """Use a link up; of two who try at once, one succeeds."""
    mine = LinkRow.secret_hash == secret_hash, LinkRow.credential == credential, LinkRow.expires_ms > now_ms
    return _count(session.execute(delete(LinkRow).where(*mine))) == 1


def _count(result: Result[Any]) -> int:
    return int(cast(CursorResult[Any], result).rowcount)
