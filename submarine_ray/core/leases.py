"""Leases: a reconciler owns a row while it works on it, so that several control services share the work.

Portable to databases without RETURNING: SELECT candidates, guarded UPDATE with a fresh token, SELECT what was won.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, String, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.core.clock import now_ms


class Locked:
    """Columns of a table whose rows are held by one control service at a time."""

    lock_token: Mapped[str | None] = mapped_column(String(100))
    lock_expires_ms: Mapped[int | None] = mapped_column(BigInteger)


class Leased(Locked):
    """Rows that are leased when they are due; `next_check_ms` is null for those that need no more work."""

    next_check_ms: Mapped[int | None] = mapped_column(BigInteger, index=True)


@dataclass(frozen=True)
class Lessee:
    """One control service; `name` stays the same across its restarts."""

    name: str
    lease_ms: int


def _is_free(table: type[Locked], now: int) -> ColumnElement[bool]:
    return or_(table.lock_expires_ms.is_(None), table.lock_expires_ms < now)


def claim(session: Session, table: type[Leased], key: ColumnElement[str], lessee: Lessee, limit: int) -> str | None:
    """Lease up to `limit` rows that are due; the token they were leased with, or None if none was."""
    now = now_ms()
    due = select(key).where(table.next_check_ms <= now, _is_free(table, now)).order_by(table.next_check_ms).limit(limit)
    candidates = list(session.scalars(due))
    if not candidates:
        return None
    token = _token(lessee)
    session.execute(
        update(table)
        .where(key.in_(candidates), _is_free(table, now))
        .values(lock_token=token, lock_expires_ms=now + lessee.lease_ms)
        .execution_options(synchronize_session=False)
    )
    return token


def claim_one(session: Session, table: type[Locked], row: ColumnElement[bool], lessee: Lessee) -> str | None:
    """Lease the row that `row` tells from others; the token, or None if another service holds it.

    What this very service holds is free too: one loop works on such a table, so only its own past can have left that.
    """
    now, token = now_ms(), _token(lessee)
    mine = table.lock_token.startswith(f"{lessee.name}:", autoescape=True)
    won = session.execute(
        update(table)
        .where(row, or_(_is_free(table, now), mine))
        .values(lock_token=token, lock_expires_ms=now + lessee.lease_ms)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    return token if won else None


def _token(lessee: Lessee) -> str:
    return f"{lessee.name}:{uuid.uuid4().hex}"


def release(session: Session, table: type[Locked], tokens: Collection[str]) -> None:
    """Free the rows that were leased with these tokens; whoever still works on one finds its result not applied."""
    session.execute(
        update(table)
        .where(table.lock_token.in_(tokens))
        .values(lock_token=None, lock_expires_ms=None)
        .execution_options(synchronize_session=False)
    )


def release_all(session: Session, table: type[Leased], lessee: Lessee) -> None:
    """Free what this very service held when it died, so that its restart need not wait for the leases to run out."""
    session.execute(
        update(table)
        .where(table.lock_token.startswith(f"{lessee.name}:", autoescape=True))
        .values(lock_token=None, lock_expires_ms=None)
        .execution_options(synchronize_session=False)
    )
