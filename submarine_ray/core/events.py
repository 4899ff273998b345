"""The history that users see: every change of state is a row here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Index, Integer, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import LongText, Table


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
    message: Mapped[str] = mapped_column(LongText)


@dataclass(frozen=True)
class Event:
    """A change to record: `reason` is one CamelCase word, `message` a sentence for the user."""

    reason: str
    message: str
    from_status: str | None = None
    to_status: str | None = None


def record(session: Session, subject: str, events: Iterable[Event]) -> None:
    """Add events, in the transaction that makes the change itself."""
    for event in events:
        session.add(
            EventRow(
                subject=subject,
                time_ms=now_ms(),
                from_status=event.from_status,
                to_status=event.to_status,
                reason=event.reason,
                message=event.message,
            )
        )


def history(session: Session, subject: str) -> list[dict[str, str | None]]:
    """A subject's events, oldest first, as answered to users."""
    rows = session.scalars(select(EventRow).where(EventRow.subject == subject).order_by(EventRow.id))
    return [
        {
            "time": iso(row.time_ms),
            "from": row.from_status,
            "to": row.to_status,
            "reason": row.reason,
            "message": row.message,
        }
        for row in rows
    ]


def since(session: Session, event_id: int | None) -> tuple[int, set[str]]:
    """The newest event's id, and who had events after `event_id`; nobody if it is None, the beginning."""
    newest = session.scalar(select(func.max(EventRow.id))) or 0
    if event_id is None or newest <= event_id:
        return newest, set()
    query = select(EventRow.subject).where(EventRow.id > event_id, EventRow.id <= newest).distinct()
    return newest, set(session.scalars(query))


def forget(session: Session, subject: str) -> None:
    """Drop a subject's history, with the subject."""
    session.execute(delete(EventRow).where(EventRow.subject == subject))
