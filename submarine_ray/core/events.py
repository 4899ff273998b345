"""The history that users see: every change of state is a row here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import BigInteger, Index, Integer, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.core.clock import moment, now_ms
from submarine_ray.core.database import Table
from submarine_ray.core.sealed import Told
from submarine_ray.spec import masks
from submarine_ray.spec.answers import events as answers


class EventRow(Table):
    """Something that happened to an experiment, an endpoint or a cluster."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_subject", "subject", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(160))
    time_ms: Mapped[int] = mapped_column(BigInteger)
    from_status: Mapped[str | None] = mapped_column(String(20))
    to_status: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Told)
    count: Mapped[int] = mapped_column(Integer, server_default="1")
    last_ms: Mapped[int | None] = mapped_column(BigInteger)


@dataclass(frozen=True)
class Event:
    """A change to record: `reason` is one CamelCase word, `message` a sentence for the user. `recurs`: it may come
    again, and until the subject's state changes each time counts as one more of the same.
    """

    reason: str
    message: str
    from_status: str | None = None
    to_status: str | None = None
    recurs: bool = False


class Listener(Protocol):
    """Called with each event, in the transaction that records it: it must be quick, and make no network call."""

    def recorded(self, session: Session, subject: str, event: Event) -> None: ...

    def forgotten(self, session: Session, subject: str) -> None:
        """The subject is gone."""


_LISTENERS: list[Listener] = []


def listen_with(listener: Listener) -> None:
    """Call `listener` with each event from now on; each listener is added once."""
    if listener not in _LISTENERS:
        _LISTENERS.append(listener)


def gist(message: str | None) -> str | None:
    """What of a problem's message stands before the details in parentheses: those change by the second."""
    return message.split(" (")[0] if message else None


def record(session: Session, subject: str, events: Iterable[Event]) -> None:
    """Add events, in the transaction that makes the change itself."""
    for told in events:
        event = replace(told, message=masks.text(told.message))  # as it is kept, and compared with what is
        earlier = _earlier(session, subject, event) if event.recurs else None
        now = now_ms()
        session.add(
            EventRow(
                subject=subject,
                time_ms=earlier.time_ms if earlier else now,
                from_status=event.from_status,
                to_status=event.to_status,
                reason=event.reason,
                message=event.message,
                count=earlier.count + 1 if earlier else 1,
                last_ms=now,
            )
        )
        if earlier:
            # It moves to the end, under a new id: whoever asks for news by the newest id hears of it. The new row goes
            # first, because SQLite gives the id of a deleted last row to the next one.
            session.flush()
            session.delete(earlier)
        for listener in _LISTENERS:
            listener.recorded(session, subject, event)


def _earlier(session: Session, subject: str, event: Event) -> EventRow | None:
    """The event that says the same, if the subject's state has not changed since."""
    changes = select(func.max(EventRow.id)).where(
        EventRow.subject == subject, EventRow.to_status.is_not(None),
        EventRow.to_status != func.coalesce(EventRow.from_status, ""),
    )  # fmt: skip
    since = session.scalar(changes) or 0
    same = select(EventRow).where(EventRow.subject == subject, EventRow.id > since, EventRow.reason == event.reason)
    return next((row for row in session.scalars(same) if gist(row.message) == gist(event.message)), None)


def history(session: Session, subject: str) -> list[answers.Event]:
    """A subject's events as answered to users, in the order in which each came last."""
    rows = session.scalars(select(EventRow).where(EventRow.subject == subject).order_by(EventRow.id))
    return [
        answers.Event(
            time=moment(row.time_ms),
            last_time=moment(row.last_ms or row.time_ms),
            count=row.count,
            from_status=row.from_status,
            to_status=row.to_status,
            reason=row.reason,
            message=row.message,
        )
        for row in rows
    ]


@dataclass(frozen=True, order=True)
class Mark:
    """What tells an event from others, also where SQLite has given it the id of a deleted one."""

    id: int
    time_ms: int
    subject: str


def newest(session: Session, count: int) -> frozenset[Mark]:
    """The marks of the newest events."""
    query = select(EventRow.id, EventRow.last_ms, EventRow.time_ms, EventRow.subject).order_by(EventRow.id.desc())
    return frozenset(
        Mark(id, last_ms or time_ms, subject) for id, last_ms, time_ms, subject in session.execute(query.limit(count))
    )


def forget(session: Session, subject: str) -> None:
    """Drop a subject's history, with the subject."""
    session.execute(delete(EventRow).where(EventRow.subject == subject))
    for listener in _LISTENERS:
        listener.forgotten(session, subject)
