"""All SQL about endpoints."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.access.tombstones import bury
from submarine_ray.core import events, leases
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.serving.tables import EndpointRow, ServingRow, TrafficRow
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.quantities import GIB, Resources
from submarine_ray.spec.serving import EndpointStatus

# A PUT takes seconds at most to be taken; with less left of the lease it is not begun.
PUT_MARGIN_MS = 500


def subject(name: str) -> str:
    return f"endpoint:{name}"


def add(session: Session, row: EndpointRow) -> None:
    """Raises AlreadyExists."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(row.name) from failure
    desire(session, row.cluster)
    events.record(session, subject(row.name), [Event("Asked", "A user asked for the endpoint.", None, row.status)])


def change(session: Session, row: EndpointRow, replicas: int, each: Resources) -> None:
    """Note what a user wants of an endpoint that is there, and that it is not so yet; one that is so stays as it is."""
    pairs = (
        ("replicas", row.replicas, replicas),
        ("CPUs each", row.cpu, each.cpu),
        ("GPUs each", row.gpu, each.gpu),
        ("GiB of memory each", row.memory / GIB, each.memory / GIB),
    )
    said = [f"{new:g} {what} instead of {old:g}" for what, old, new in pairs if old != new]
    answers = row.status in (EndpointStatus.RUNNING, EndpointStatus.UPDATING)
    if not said and row.status not in (EndpointStatus.DELETING, EndpointStatus.FAILED):
        return
    before, row.status = row.status, EndpointStatus.UPDATING if answers else EndpointStatus.CREATING
    reason = "Asked" if not said else "Scaled" if row.each == each else "Changed"
    told = f"A user asked for {' and '.join(said) or 'it again'}."
    row.replicas, row.message, row.changed_ms = replicas, None, now_ms()
    row.cpu, row.memory, row.gpu = each.cpu, each.memory, each.gpu
    desire(session, row.cluster)
    events.record(session, subject(row.name), [Event(reason, told, before, row.status)])


def find(session: Session, name: str) -> EndpointRow | None:
    return session.get(EndpointRow, name)


def living(session: Session, name: str) -> EndpointRow | None:
    """The endpoint, unless it is being deleted."""
    row = find(session, name)
    return None if row is None or row.status == EndpointStatus.DELETING else row


def of_model(session: Session, model_name: str) -> list[EndpointRow]:
    """The endpoints of a model's versions that are not being deleted."""
    query = select(EndpointRow).where(
        EndpointRow.model_name == model_name, EndpointRow.status != EndpointStatus.DELETING
    )
    return list(session.scalars(query.order_by(EndpointRow.model_version)))


def list_all(session: Session) -> list[EndpointRow]:
    return list(session.scalars(select(EndpointRow).order_by(EndpointRow.name)))


def on_cluster(session: Session, cluster: str) -> list[EndpointRow]:
    return list(session.scalars(select(EndpointRow).where(EndpointRow.cluster == cluster).order_by(EndpointRow.name)))


def clusters(session: Session) -> list[str]:
    """Clusters that have, or have had, endpoints."""
    return list(session.scalars(select(ServingRow.cluster)))


def set_deleting(session: Session, row: EndpointRow) -> None:
    row.status, row.changed_ms = EndpointStatus.DELETING, now_ms()
    desire(session, row.cluster)


def set_status(session: Session, seen: EndpointRow, status: str, message: str | None) -> None:
    """Note what was observed of an endpoint as `seen`, unless the user has changed the wish since."""
    wish = (
        EndpointRow.replicas == seen.replicas,
        EndpointRow.cpu == seen.cpu,
        EndpointRow.memory == seen.memory,
        EndpointRow.gpu == seen.gpu,
    )
    name, before = seen.name, seen.status
    changed = session.execute(
        update(EndpointRow)
        .where(EndpointRow.name == name, EndpointRow.status == before, *wish)
        .values(status=status, message=message, changed_ms=now_ms())
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if changed and before != status:
        events.record(session, subject(name), [Event(status, message or f"The endpoint is {status}.", before, status)])


def tell(session: Session, name: str, happened: Event) -> None:
    """Note what happened to an endpoint where its users look."""
    events.record(session, subject(name), [happened])


def remove(session: Session, name: str) -> None:
    session.execute(delete(EndpointRow).where(EndpointRow.name == name, EndpointRow.status == EndpointStatus.DELETING))
    events.forget(session, subject(name))


def find_traffic(session: Session, model_name: str) -> TrafficRow | None:
    return session.get(TrafficRow, model_name)


def list_traffic(session: Session, cluster: str | None = None) -> list[TrafficRow]:
    """All models' traffic, or that of a cluster."""
    query = select(TrafficRow).order_by(TrafficRow.model_name)
    return list(session.scalars(query if cluster is None else query.where(TrafficRow.cluster == cluster)))


def set_traffic_status(session: Session, model_name: str, status: str, message: str | None) -> None:
    """Note what was observed."""
    session.execute(
        update(TrafficRow).where(TrafficRow.model_name == model_name).values(status=status, message=message)
    )


def abandon(session: Session, cluster: str) -> None:
    """Forget a cluster's endpoints."""
    session.execute(delete(TrafficRow).where(TrafficRow.cluster == cluster))
    for row in on_cluster(session, cluster):
        events.forget(session, subject(row.name))
        if row.status != EndpointStatus.DELETING:
            bury(session, DeletedKind.ENDPOINT, row.name)
    session.execute(delete(EndpointRow).where(EndpointRow.cluster == cluster))
    session.execute(delete(ServingRow).where(ServingRow.cluster == cluster))


def desire(session: Session, cluster: str) -> None:
    """Count a change of what users want of a cluster's Serve, and have it looked at."""
    change = update(ServingRow).where(ServingRow.cluster == cluster)
    change = change.values(generation=ServingRow.generation + 1, next_check_ms=due_ms())
    if session.execute(change.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        return
    try:
        with session.begin_nested():
            session.add(ServingRow(cluster=cluster, next_check_ms=due_ms()))
    except IntegrityError:  # somebody else was the first on this cluster
        session.execute(change.execution_options(synchronize_session=False))


def desired(session: Session, cluster: str, token: str) -> tuple[int, list[EndpointRow], list[TrafficRow]]:
    """What a leased cluster shall have, and its generation. That is read first: what is newer has a higher one."""
    row = session.scalars(select(ServingRow).where(ServingRow.cluster == cluster, ServingRow.lock_token == token)).one()
    return row.generation, on_cluster(session, cluster), list_traffic(session, cluster)


def is_held(session: Session, cluster: str, token: str, generation: int) -> bool:
    """Whether the lease on a cluster lasts for a while, and users still want the same of it."""
    found = select(ServingRow.cluster).where(
        ServingRow.cluster == cluster,
        ServingRow.lock_token == token,
        ServingRow.generation == generation,
        ServingRow.lock_expires_ms > due_ms() + PUT_MARGIN_MS,
    )
    return session.scalar(found) is not None


def outrun(session: Session, cluster: str, number: int) -> None:
    """A cluster shows a higher generation than its row has, which another database counted, or this one before it was
    restored: outdo it.
    """
    session.execute(
        update(ServingRow)
        .where(ServingRow.cluster == cluster, ServingRow.generation <= number)
        .values(generation=number + 1, next_check_ms=due_ms())
        .execution_options(synchronize_session=False)
    )


def is_steady(session: Session, cluster: str) -> bool:
    """Whether all of a cluster's endpoints and traffic are as users want them."""
    statuses = {row.status for row in on_cluster(session, cluster)}
    statuses |= {row.status for row in list_traffic(session, cluster)}
    return statuses <= {EndpointStatus.RUNNING}


def lock(session: Session, cluster: str, lessee: Lessee) -> str | None:
    """Take the cluster's Serve lock; its token, or None if another service has it."""
    return leases.claim_one(session, ServingRow, ServingRow.cluster == cluster, lessee)


def unlock(session: Session, cluster: str, token: str) -> None:
    leases.release(session, ServingRow, [token])
