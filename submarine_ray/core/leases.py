"""Leases: a reconciler owns a row while it works on it, so that several control services share the work.

Portable to databases without RETURNING: SELECT candidates, guarded UPDATE with a fresh token, SELECT what was won.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    String,
    Table,
    delete,
    event,
    func,
    inspect,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from submarine_ray.core.clock import CLOCK, Clock, due_ms


class Leased:
    """Rows that one control service at a time leases when they are due; `next_check_ms` is null for those that need no
    more work.
    """

    lock_token: Mapped[str | None] = mapped_column(String(100))
    lock_expires_ms: Mapped[int | None] = mapped_column(BigInteger)
    next_check_ms: Mapped[int | None] = mapped_column(BigInteger, index=True)


class Claimable(Leased):
    """Rows that the engine brings a step further (core/engine/).

    `generation` counts the changes of what a user wants: what was decided for an older one is not applied.
    """

    generation: Mapped[int] = mapped_column(Integer, default=1, server_default="1")

    @classmethod
    def key(cls) -> InstrumentedAttribute[str]:
        """The column that tells rows apart."""
        return cls.id  # type: ignore[attr-defined, no-any-return]

    @classmethod
    def lane(cls) -> InstrumentedAttribute[str]:
        """The column that names the cluster: rows of one are looked at together, and hang together."""
        return cls.cluster  # type: ignore[attr-defined, no-any-return]

    @property
    def row_key(self) -> str:
        return str(getattr(self, type(self).key().key))

    @property
    def row_lane(self) -> str:
        return str(getattr(self, type(self).lane().key))


class Reconciled(Claimable):
    """Claimable rows with an id of their own."""

    id: Mapped[str] = mapped_column(String(64), primary_key=True)


Row = TypeVar("Row", bound=Claimable)
_SERVER_MS = text("SELECT ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000)")
WRITE_MS = 500
"""With less left of a lease nothing is begun that another's write must not overtake."""
FREED: Mapping[str, None] = {"lock_token": None, "lock_expires_ms": None}


@dataclass(frozen=True)
class Lessee:
    """One control service; `name` stays the same across its restarts."""

    name: str
    lease_ms: int
    mended: dict[str, int] = field(default_factory=dict, compare=False)
    """For each table, after how many settings of the database's clock its times were brought in order."""
    own_clock: Clock | None = None
    """Of a test with several services in one process; otherwise the process's clock."""

    @property
    def clock(self) -> Clock:
        return self.own_clock or CLOCK


def _is_free(table: type[Leased], now: int) -> ColumnElement[bool]:
    return or_(table.lock_expires_ms.is_(None), table.lock_expires_ms < now)


def agreed_ms(session: Session, table: type[Leased], lessee: Lessee) -> int:
    """The time that all services go by which share the table: the database server's, where there is one."""
    clock = lessee.clock
    if session.get_bind().dialect.name != "sqlite":
        clock.agree(int(session.scalar(_SERVER_MS) or 0))
    now, name = clock.due_ms(), table.__name__
    jumps = clock.server_jumps
    if lessee.mended.setdefault(name, jumps) != jumps:
        _mend(session, table, now, lessee)
        event.listen(session, "after_commit", lambda _: lessee.mended.update({name: jumps}), once=True)
    return now


def _mend(session: Session, table: type[Leased], now: int, lessee: Lessee) -> None:
    """The clock was set: leases last as long as if they had been taken now, so that none ends early or never."""
    held = update(table).where(table.lock_expires_ms.is_not(None)).values(lock_expires_ms=now + lessee.lease_ms)
    session.execute(held.execution_options(synchronize_session=False))
    hasten(session, table, now)


def hasten(session: Session, table: type[Leased], now: int) -> None:
    """Look at everything now: when it was due was reckoned by another clock, perhaps."""
    late = update(table).where(table.next_check_ms > now).values(next_check_ms=now)
    session.execute(late.execution_options(synchronize_session=False))


def claim(
    session: Session,
    table: type[Row],
    lessee: Lessee,
    limit: int,
    lanes: int | None = None,
    held: Collection[str] = (),
    full: Collection[str] = (),
) -> Sequence[Row]:
    """Lease up to `limit` rows that are due, the longest due first, of at most `lanes` lanes.

    `held`: keys of rows that this process has in hand already; `full`: lanes in which nothing can begin now.
    """
    now = agreed_ms(session, table, lessee)
    key, lane = table.key(), table.lane()
    due = select(key, lane).where(table.next_check_ms <= now, _is_free(table, now))
    if held:
        due = due.where(key.not_in(held))
    if full:
        due = due.where(lane.not_in(full))
    candidates: list[str] = []
    seen: set[str] = set()
    for candidate, its_lane in session.execute(due.order_by(table.next_check_ms, key).limit(limit)):
        if lanes is None or its_lane in seen or len(seen) < lanes:
            seen.add(its_lane)
            candidates.append(candidate)
    if not candidates:
        return []
    token = _token(lessee)
    session.execute(
        update(table)
        .where(key.in_(candidates), _is_free(table, now))
        .values(lock_token=token, lock_expires_ms=now + lessee.lease_ms)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(select(table).where(key.in_(candidates), table.lock_token == token)).all()


def renew(session: Session, table: type[Row], lessee: Lessee, claims: Mapping[str, str]) -> set[str]:
    """Make the leases of `claims`, tokens by the rows' keys, as long as new ones; the keys of those still held."""
    until = agreed_ms(session, table, lessee) + lessee.lease_ms
    key = table.key()
    mine = (key.in_(claims), table.lock_token.in_(set(claims.values())))
    held = session.execute(select(key, table.lock_token).where(*mine)).all()
    kept = {found for found, token in held if claims[found] == token}
    if kept:
        session.execute(
            update(table)
            .where(key.in_(kept), mine[1])
            .values(lock_expires_ms=until)
            .execution_options(synchronize_session=False)
        )
    return kept


def give_back(session: Session, table: type[Row], claims: Mapping[str, str]) -> None:
    """Free rows, tokens by their keys; whoever still works on one finds its result not applied."""
    session.execute(
        update(table)
        .where(table.key().in_(claims), table.lock_token.in_(set(claims.values())))
        .values(**FREED)
        .execution_options(synchronize_session=False)
    )


def apply(session: Session, row: Claimable, values: Mapping[str, object]) -> bool:
    """Write what was observed of a leased row and let go of it; False if the lease or the desired state has changed.

    A changed desired state frees the lease, due at once: it is decided anew.
    """
    # The table itself, not the class: for each of many rows the ORM would first write what else the session has.
    table = cast(Table, inspect(type(row)).local_table)
    key = table.c[type(row).key().key]
    mine = update(table).where(key == row.row_key, table.c.lock_token == row.lock_token)
    written = session.execute(mine.where(table.c.generation == row.generation).values(**values, **FREED)).rowcount  # type: ignore[attr-defined]
    if not written:
        session.execute(mine.values(next_check_ms=due_ms(), **FREED))
    return bool(written)


def remove(session: Session, row: Claimable) -> bool:
    """Delete a leased row; False if the lease is another's by now."""
    table = type(row)
    mine = delete(table).where(table.key() == row.row_key, table.lock_token == row.lock_token)
    return bool(session.execute(mine.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def is_held(session: Session, row: Claimable, now: int) -> bool:
    """Whether the lease of a claimed row lasts for a while yet, and users still want the same: asked before what cannot
    be taken back is written somewhere else.
    """
    table = type(row)
    found = select(table.key()).where(
        table.key() == row.row_key,
        table.lock_token == row.lock_token,
        table.generation == row.generation,
        table.lock_expires_ms > now + WRITE_MS,
    )
    return session.scalar(found) is not None


def unfinished(session: Session, table: type[Leased], *where: ColumnElement[bool]) -> int:
    """How many rows there is still work for, now or later."""
    return session.scalar(select(func.count()).select_from(table).where(table.next_check_ms.is_not(None), *where)) or 0


def next_due(
    session: Session,
    table: type[Row],
    now: int | None = None,
    held: Collection[str] = (),
    full: Collection[str] = (),
) -> int | None:
    """When the next row is due, in ms since 1970; of those that are neither in hand nor of a lane that is full."""
    # Not the minimum: MariaDB reads the whole table for it, the many rows at rest too.
    open_rows = table.next_check_ms.is_not(None)
    due = select(table.next_check_ms).where(open_rows, _is_free(table, due_ms() if now is None else now))
    if held:
        due = due.where(table.key().not_in(held))
    if full:
        due = due.where(table.lane().not_in(full))
    return session.scalar(due.order_by(table.next_check_ms).limit(1))


def backlog(session: Session, table: type[Leased], now: int) -> tuple[int, int | None]:
    """How many rows are due, and since when the first is, in ms since 1970."""
    due = select(func.count(), func.min(table.next_check_ms)).where(table.next_check_ms <= now)
    count, oldest = session.execute(due).one()
    return int(count), oldest


def wake(session: Session, table: type[Row], keys: Collection[str], now: int) -> None:
    """Make rows due now."""
    late = update(table).where(table.key().in_(keys), table.next_check_ms > now).values(next_check_ms=now)
    session.execute(late.execution_options(synchronize_session=False))


def _token(lessee: Lessee) -> str:
    return f"{lessee.name}:{uuid.uuid4().hex}"


def recover(session: Session, table: type[Leased], lessee: Lessee) -> None:
    """Begin after a restart: nothing is held, and everything is looked at."""
    release_all(session, table, lessee)
    hasten(session, table, agreed_ms(session, table, lessee))


def release_all(session: Session, table: type[Leased], lessee: Lessee) -> None:
    """Free what this very service held when it died, so that its restart need not wait for the leases to run out."""
    session.execute(
        update(table)
        .where(table.lock_token.startswith(f"{lessee.name}:", autoescape=True))
        .values(**FREED)
        .execution_options(synchronize_session=False)
    )
