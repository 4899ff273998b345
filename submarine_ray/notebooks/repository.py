"""All SQL about notebooks."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.core import events, leases
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.core.events import Event
from submarine_ray.core.paging import Cursor, after
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.notebooks import NotebookStatus as Status
from submarine_ray.spec.quantities import Resources

HOLDING = (Status.CREATING, Status.RUNNING, Status.TERMINATING)


def add(session: Session, row: NotebookRow, happened: Event) -> None:
    """Raises AlreadyExists if the name or the id is taken."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(
            f"A notebook named {row.name!r} exists in namespace {row.namespace!r}; open it, or choose another name."
        ) from failure
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


def write(session: Session, row: NotebookRow, outcome: Outcome) -> bool:
    """What came of a step of a leased row, and what to tell of it; False if the lease or the wish has changed."""
    if outcome.remove:
        return purge(session, row)
    applied = leases.apply(session, row, outcome.values)
    if applied:
        events.record(session, row.id, outcome.events)
    return applied


def unfinished(session: Session, cluster: str) -> int:
    """How many of a cluster's notebooks are not yet put away."""
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


def in_use(session: Session, cluster: str) -> Resources:
    """What the cluster's notebooks hold, together."""
    row = session.execute(
        select(
            func.coalesce(func.sum(NotebookRow.demand_cpu), 0.0),
            func.coalesce(func.sum(NotebookRow.demand_memory), 0),
            func.coalesce(func.sum(NotebookRow.demand_gpu), 0.0),
        ).where(NotebookRow.cluster == cluster, NotebookRow.incarnation.is_not(None), NotebookRow.status.in_(HOLDING))
    ).one()
    return Resources(float(row[0]), int(row[1]), float(row[2]))


def holders(session: Session, cluster: str) -> list[tuple[str, Resources]]:
    """The names of the cluster's notebooks, and what each holds."""
    rows = session.execute(
        select(
            NotebookRow.namespace,
            NotebookRow.name,
            NotebookRow.demand_cpu,
            NotebookRow.demand_memory,
            NotebookRow.demand_gpu,
        ).where(NotebookRow.cluster == cluster, NotebookRow.incarnation.is_not(None), NotebookRow.status.in_(HOLDING))
    )
    return [(f"{namespace}/{name}", Resources(cpu, memory, gpu)) for namespace, name, cpu, memory, gpu in rows]


def purge(session: Session, row: NotebookRow) -> bool:
    """Drop a deleted notebook with its history; its files stay. False if the lease has changed."""
    gone = session.execute(
        delete(NotebookRow)
        .where(NotebookRow.id == row.id, NotebookRow.lock_token == row.lock_token)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if gone:
        events.forget(session, row.id)
    return bool(gone)
