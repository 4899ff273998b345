"""All SQL about endpoints."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.access.tombstones import bury
from submarine_ray.core import events, leases
from submarine_ray.core.clock import now_ms
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.serving.tables import EndpointRow, ServingRow, TrafficRow
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.quantities import GIB, Resources
from submarine_ray.spec.serving import EndpointStatus


def subject(name: str) -> str:
    return f"endpoint:{name}"


def add(session: Session, row: EndpointRow) -> None:
    """Raises AlreadyExists."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(row.name) from failure
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


def set_deleting(session: Session, name: str) -> None:
    session.execute(
        update(EndpointRow).where(EndpointRow.name == name).values(status=EndpointStatus.DELETING, changed_ms=now_ms())
    )


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


def ensure_cluster(session: Session, cluster: str) -> None:
    if session.get(ServingRow, cluster) is None:
        session.add(ServingRow(cluster=cluster))
        session.flush()


def lock(session: Session, cluster: str, lessee: Lessee) -> str | None:
    """Take the cluster's Serve lock; its token, or None if another service has it."""
    return leases.claim_one(session, ServingRow, ServingRow.cluster == cluster, lessee)


def unlock(session: Session, cluster: str, token: str, applied: str | None) -> None:
    """Let go of the lock, noting what is now on the cluster."""
    values: dict[str, str | None] = {"lock_token": None, "lock_expires_ms": None}
    if applied is not None:
        values["applied"] = applied
    session.execute(
        update(ServingRow)
        .where(ServingRow.cluster == cluster, ServingRow.lock_token == token)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def applied(session: Session, cluster: str) -> str | None:
    return session.scalar(select(ServingRow.applied).where(ServingRow.cluster == cluster))
