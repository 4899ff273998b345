"""All SQL about notebooks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, load_only

from submarine_ray.core import events, leases
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import add_new
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.events import Event
from submarine_ray.core.paging import Cursor, after
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.notebooks import NotebookStatus as Status
from submarine_ray.spec.quantities import Resources

# Whoever waits for room asks again within this.
LONGEST_QUEUE_PAUSE_MS = 5_000
HOLDING = (Status.CREATING, Status.RUNNING, Status.TERMINATING)


def add(session: Session, row: NotebookRow, happened: Event) -> None:
    """Raises AlreadyExists if the name or the id is taken."""
    add_new(
        session,
        row,
        f"A notebook named {row.name!r} exists in namespace {row.namespace!r}; open it, or choose another name.",
    )
    events.record(session, row.id, [happened])


def find(session: Session, notebook_id: str, lock: bool = False) -> NotebookRow | None:
    """A notebook that is not deleted; with `lock`, nobody else changes it before this transaction ends."""
    query = select(NotebookRow).where(NotebookRow.id == notebook_id, NotebookRow.deleted_ms.is_(None))
    return session.scalars(query.with_for_update() if lock else query).first()


def find_taken(session: Session, path: str) -> NotebookRow | None:
    """The notebook that is served at a path."""
    return session.scalars(select(NotebookRow).where(NotebookRow.taken == path)).first()


def page(session: Session, owner: str | None, limit: int | None, cursor: Cursor | None) -> list[NotebookRow]:
    """Oldest first; with `owner`, theirs."""
    query = select(NotebookRow).where(NotebookRow.deleted_ms.is_(None))
    if owner is not None:
        query = query.where(NotebookRow.owner == owner)
    query = query.order_by(NotebookRow.created_ms, NotebookRow.id)
    return list(session.scalars(after(query, NotebookRow.created_ms, NotebookRow.id, limit, cursor)))


def names(session: Session) -> list[tuple[str, str, str]]:
    """The id, the name and the status of each notebook, the newest first."""
    query = select(NotebookRow.id, NotebookRow.name, NotebookRow.status).where(NotebookRow.deleted_ms.is_(None))
    return [(id, name, status) for id, name, status in session.execute(query.order_by(NotebookRow.created_ms.desc()))]


def write(session: Session, row: NotebookRow, outcome: Outcome) -> bool:
    """What came of a step of a leased row, and its events; False if the lease or the desired state has changed."""
    if outcome.remove:
        return purge(session, row)
    applied = leases.apply(session, row, outcome.values)
    if applied:
        events.record(session, row.id, outcome.events)
    return applied


def unfinished(session: Session, cluster: str) -> int:
    """How many of a cluster's notebooks are not yet cleaned up."""
    return leases.unfinished(session, NotebookRow, NotebookRow.cluster == cluster)


def abandon(session: Session, cluster: str) -> None:
    """Give up what a cluster has: it is stopped, and may be started when there is a cluster of that name again."""
    rows = session.scalars(select(NotebookRow).where(NotebookRow.cluster == cluster))
    for row in rows.all():
        if row.wanted == "delete":
            session.delete(row)
            events.forget(session, row.id)
            continue
        why = f"Its cluster {cluster!r} was removed"
        events.record(session, row.id, [Event("ClusterRemoved", why, row.status, Status.FAILED)])
        row.status, row.reason, row.wanted = Status.FAILED, why, "stop"
        row.next_check_ms, row.superseded, row.address, row.incarnation = None, "", None, None
        row.generation += 1


# What admission needs of a row: no spec.
_SIZE = load_only(
    NotebookRow.namespace,
    NotebookRow.name,
    NotebookRow.demand_cpu,
    NotebookRow.demand_memory,
    NotebookRow.demand_gpu,
)


def active(session: Session, cluster: str) -> list[NotebookRow]:
    """The cluster's notebooks that hold what they asked for."""
    query = select(NotebookRow).where(NotebookRow.cluster == cluster, NotebookRow.incarnation.is_not(None))
    return list(session.scalars(query.where(NotebookRow.status.in_(HOLDING)).options(_SIZE)))


def waiting(session: Session, cluster: str, within: Resources, limit: int) -> list[NotebookRow]:
    """The notebooks that wait for room on a cluster and ask for no more than `within`, the oldest first."""
    rows = session.scalars(
        select(NotebookRow)
        .where(NotebookRow.cluster == cluster, NotebookRow.fits(within), *_waits_for_room())
        .options(_SIZE)
        .order_by(NotebookRow.created_ms, NotebookRow.id)
        .limit(limit)
    )
    return list(rows)


def still_waiting(session: Session, ids: Collection[str]) -> list[NotebookRow]:
    """Those of the ids that wait for room."""
    return list(session.scalars(select(NotebookRow).where(NotebookRow.id.in_(ids), *_waits_for_room()).options(_SIZE)))


def _waits_for_room() -> Iterator[ColumnElement[bool]]:
    """It may start as soon as there is room, and asks for it soon: one that is left alone holds up nobody."""
    yield from (NotebookRow.wanted == "run", NotebookRow.incarnation.is_(None))
    yield NotebookRow.status.not_in((Status.STOPPED, Status.FAILED))
    yield NotebookRow.next_check_ms <= due_ms() + LONGEST_QUEUE_PAUSE_MS


def purge(session: Session, row: NotebookRow) -> bool:
    """Drop a deleted notebook with its history; its files stay. False if the lease has changed."""
    if gone := leases.remove(session, row):
        events.forget(session, row.id)
    return gone
