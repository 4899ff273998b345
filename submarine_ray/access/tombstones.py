"""What was deleted, by whom and when: a row for each, in the transaction that deletes, and a line in the log."""

from __future__ import annotations

from collections.abc import Collection

import structlog
from sqlalchemy import BigInteger, Index, Integer, String, event, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.access.acting import SERVICE, acting
from submarine_ray.core.clock import moment, now_ms
from submarine_ray.core.database import Database, Table
from submarine_ray.core.paging import Cursor, split
from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.deletions import DeletedKind, Deletion

log = structlog.get_logger(__name__)


class TombstoneRow(Table):
    """One deletion. `subject` is the id of what was deleted, or its name where that is its id."""

    __tablename__ = "tombstone"
    __table_args__ = (Index("ix_tombstone_kind", "kind", "id"), Index("ix_tombstone_subject", "subject"))

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(260))
    name: Mapped[str] = mapped_column(String(260))
    principal_kind: Mapped[str] = mapped_column(String(20))
    principal: Mapped[str] = mapped_column(String(160))


def bury(session: Session, kind: str, subject: str, name: str | None = None) -> None:
    """Note in this transaction that something is deleted, and in the log once it is."""
    who = acting()
    by = (str(who.kind), who.name) if who else (SERVICE, SERVICE)
    session.add(
        TombstoneRow(
            time_ms=now_ms(),
            kind=kind,
            subject=subject[:260],
            name=(name or subject)[:260],
            principal_kind=by[0],
            principal=by[1][:160],
        )
    )

    @event.listens_for(session, "after_commit", once=True)
    def tell(_session: Session) -> None:
        log.info("deleted", kind=kind, id=subject, name=name or subject, by=by[1], by_kind=by[0])


class Tombstones:
    """Reads them; and writes those of what lies in another store than ours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bury(self, kind: str, subject: str, name: str | None = None) -> None:
        """Note that something is deleted elsewhere, as soon as it is."""
        with self._database.session(write=True) as session:
            bury(session, kind, subject, name)

    def which(self, kind: str, subjects: Collection[str]) -> set[str]:
        """Those of the subjects that somebody has deleted."""
        query = select(TombstoneRow.subject).where(TombstoneRow.kind == kind, TombstoneRow.subject.in_(subjects))
        with self._database.session() as session:
            return set(session.scalars(query))

    def page(self, kind: str | None, limit: int, cursor: str | None) -> tuple[list[Deletion], Attributes]:
        """Deletions, the newest first, and the answer's attributes. Raises InvalidSpec for an odd cursor."""
        query = select(TombstoneRow).order_by(TombstoneRow.id.desc()).limit(limit + 1)
        if kind:
            query = query.where(TombstoneRow.kind == kind)
        if begin := Cursor.parse(cursor):
            query = query.where(TombstoneRow.id < begin.ms)
        with self._database.session() as session:
            rows = list(session.scalars(query))
        page, attributes = split(rows, limit, lambda row: Cursor(row.id, ""))
        return [_answer(row) for row in page], attributes


def _answer(row: TombstoneRow) -> Deletion:
    return Deletion(
        time=moment(row.time_ms),
        kind=DeletedKind(row.kind),
        id=row.subject,
        name=row.name,
        by=row.principal,
        by_kind=row.principal_kind,
    )
