"""All SQL about endpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from submarine_ray.access.tombstones import bury
from submarine_ray.core import events, leases
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import add_new
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.events import Event
from submarine_ray.serving.tables import CountsRow, EndpointRow, LookRow, ServingRow, TrafficRow, split_name
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.quantities import GIB, Resources
from submarine_ray.spec.serving import EndpointStatus

NOTHING = "[]"  # the buckets of what no request has asked yet


def subject(name: str) -> str:
    return f"endpoint:{name}"


def add(session: Session, row: EndpointRow) -> None:
    """Raises AlreadyExists."""
    desire(session, row.cluster)
    add_new(session, row, row.name)
    events.record(session, subject(row.name), [Event("Asked", "A user asked for the endpoint.", None, row.status)])


def change(session: Session, row: EndpointRow, replicas: int, each: Resources) -> None:
    """Write an endpoint's new desired state, which is not reached yet; an equal one changes nothing."""
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
    desire(session, row.cluster)
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


def set_deleting(session: Session, row: EndpointRow) -> None:
    desire(session, row.cluster)
    row.status, row.changed_ms = EndpointStatus.DELETING, now_ms()


def _set_status(session: Session, seen: EndpointRow, status: str, message: str | None) -> None:
    """Note what was observed of an endpoint; its cluster's row is leased and locked, so users want the same as then."""
    session.execute(
        update(EndpointRow)
        .where(EndpointRow.name == seen.name)
        .values(status=status, message=message, changed_ms=now_ms())
        .execution_options(synchronize_session=False)
    )
    if seen.status != status:
        happened = Event(status, message or f"The endpoint is {status}.", seen.status, status)
        events.record(session, subject(seen.name), [happened])


def _tell_late(session: Session, cluster: str, happened: Sequence[Event]) -> None:
    """Set the message of those endpoints of a cluster that have not reached their desired state."""
    for row in on_cluster(session, cluster):
        if row.status != EndpointStatus.RUNNING:
            events.record(session, subject(row.name), happened)


def _remove(session: Session, name: str) -> None:
    session.execute(delete(EndpointRow).where(EndpointRow.name == name, EndpointRow.status == EndpointStatus.DELETING))
    events.forget(session, subject(name))


def find_traffic(session: Session, model_name: str) -> TrafficRow | None:
    return session.get(TrafficRow, model_name)


def list_traffic(session: Session, cluster: str | None = None) -> list[TrafficRow]:
    """All models' traffic, or that of a cluster."""
    query = select(TrafficRow).order_by(TrafficRow.model_name)
    return list(session.scalars(query if cluster is None else query.where(TrafficRow.cluster == cluster)))


def set_traffic(session: Session, row: TrafficRow, cluster: str, weights: Mapping[int, int]) -> None:
    """Write how a model's requests are to be split."""
    for one in sorted({cluster, row.cluster or cluster}):
        desire(session, one)
    before = row.status
    row.cluster, row.status, row.message, row.changed_ms = cluster, EndpointStatus.CREATING, None, now_ms()
    row.weights = orjson.dumps({str(version): weight for version, weight in weights.items()}).decode()
    session.add(row)
    said = ", ".join(f"{share:.3g} % to version {version}" for version, share in percentages(weights).items())
    asked = Event("Asked", f"A user asked to split the requests: {said}.", before, row.status)
    events.record(session, subject(split_name(row.model_name)), [asked])


def percentages(weights: Mapping[int, int]) -> dict[int, float]:
    whole = sum(weights.values()) or 1
    return {version: 100 * weight / whole for version, weight in sorted(weights.items())}


def end_traffic(session: Session, row: TrafficRow) -> None:
    """Split a model's requests no more."""
    desire(session, row.cluster)
    session.delete(row)
    events.forget(session, subject(split_name(row.model_name)))


def _set_traffic_status(session: Session, seen: TrafficRow, status: str, message: str | None) -> None:
    """Note what was observed."""
    session.execute(
        update(TrafficRow).where(TrafficRow.model_name == seen.model_name).values(status=status, message=message)
    )
    if seen.status != status:
        happened = Event(status, message or f"The shared URL is {status}.", seen.status, status)
        events.record(session, subject(split_name(seen.model_name)), [happened])


def abandon(session: Session, cluster: str) -> None:
    """Forget a cluster's endpoints."""
    session.execute(delete(ServingRow).where(ServingRow.cluster == cluster))
    for split in list_traffic(session, cluster):
        events.forget(session, subject(split_name(split.model_name)))
        session.delete(split)
    for row in on_cluster(session, cluster):
        events.forget(session, subject(row.name))
        if row.status != EndpointStatus.DELETING:
            bury(session, DeletedKind.ENDPOINT, row.name)
    session.execute(delete(EndpointRow).where(EndpointRow.cluster == cluster))


def is_begun(session: Session, cluster: str) -> bool:
    return session.get(ServingRow, cluster) is not None


def begin(session: Session, cluster: str) -> None:
    """Make a cluster's row, in a transaction of its own: on MySQL all but the first of several that make it hold a lock
    until they end, which keeps each from changing it. Raises AlreadyExists.
    """
    add_new(session, ServingRow(cluster=cluster, next_check_ms=due_ms()), cluster)


def desire(session: Session, cluster: str) -> None:
    """Count a change of what users want of a cluster's Serve, and have it looked at. Before the change: whoever writes
    what was seen locks this row first too, and neither waits for the other in a ring.
    """
    change = update(ServingRow).where(ServingRow.cluster == cluster)
    change = change.values(generation=ServingRow.generation + 1, next_check_ms=due_ms())
    if session.execute(change.execution_options(synchronize_session=False)).rowcount:  # type: ignore[attr-defined]
        return
    try:
        with session.begin_nested():
            session.add(ServingRow(cluster=cluster, next_check_ms=due_ms()))
    except IntegrityError:  # somebody else was the first on this cluster
        session.execute(change.execution_options(synchronize_session=False))


@dataclass(frozen=True)
class Noted(Outcome):
    """What is written of a cluster's endpoints beside its own row: statuses with messages, which have ended, and what
    users are told of them.
    """

    endpoints: Sequence[tuple[EndpointRow, str, str | None]] = ()
    traffic: Sequence[tuple[TrafficRow, str, str | None]] = ()
    ended: Sequence[str] = ()
    told: Sequence[tuple[EndpointRow, Event]] = ()


def write(session: Session, claimed: ServingRow, outcome: Outcome) -> bool:
    """Write what came of a step, if the lease and what users want are still the same. The cluster's row goes first."""
    if outcome.remove:
        return _forget(session, claimed)
    if not leases.apply(session, claimed, outcome.values):
        return False
    if outcome.events:
        _tell_late(session, claimed.cluster, outcome.events)
    if isinstance(outcome, Noted):
        for endpoint, event in outcome.told:
            events.record(session, subject(endpoint.name), [event])
        for endpoint, status, message in outcome.endpoints:
            _set_status(session, endpoint, status, message)
        for traffic, status, message in outcome.traffic:
            _set_traffic_status(session, traffic, status, message)
        for name in outcome.ended:
            _remove(session, name)
    return True


def _forget(session: Session, claimed: ServingRow) -> bool:
    """Remove a cluster's row that is leased; whether it was as it was claimed."""
    mine = (ServingRow.lock_token == claimed.lock_token, ServingRow.generation == claimed.generation)
    gone = delete(ServingRow).where(ServingRow.cluster == claimed.cluster, *mine)
    return bool(session.execute(gone).rowcount)  # type: ignore[attr-defined]


def may_look(session: Session, cluster: str, now: int, fresh_ms: int) -> bool:
    """Whether nobody has asked the cluster for metrics in the last `fresh_ms`: from now on somebody has."""
    mine = update(LookRow).where(LookRow.cluster == cluster, LookRow.asked_ms <= now - fresh_ms)
    if session.execute(mine.values(asked_ms=now)).rowcount:  # type: ignore[attr-defined]
        return True
    if session.get(LookRow, cluster) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(LookRow(cluster=cluster, asked_ms=now, known=False))
    except IntegrityError:  # another service asks at this very moment
        return False
    return True


def keep_counts(session: Session, cluster: str, found: Sequence[CountsRow], known: bool, forgotten_ms: int) -> None:
    """Store a sample of the metrics, and drop samples older than `forgotten_ms`."""
    session.execute(update(LookRow).where(LookRow.cluster == cluster).values(known=known))
    session.execute(delete(CountsRow).where(CountsRow.at_ms < forgotten_ms))
    session.add_all(found)


def thin_counts(session: Session, cluster: str, apart_ms: int) -> None:
    """Drop the sample before the newest if it is less than `apart_ms` after the one before it."""
    times = select(CountsRow.at_ms).where(CountsRow.cluster == cluster).distinct()
    newest = list(session.scalars(times.order_by(CountsRow.at_ms.desc()).limit(3)))
    if len(newest) == 3 and newest[1] - newest[2] < apart_ms:
        session.execute(delete(CountsRow).where(CountsRow.cluster == cluster, CountsRow.at_ms == newest[1]))


def uncounted(session: Session, cluster: str, names: Collection[str]) -> set[str]:
    """Those of `names` that no request has been counted for in any sample of the cluster."""
    mine = select(CountsRow.name).where(CountsRow.cluster == cluster)
    newest = select(func.max(CountsRow.at_ms)).where(CountsRow.cluster == cluster).scalar_subquery()
    nothing = session.scalars(mine.where(CountsRow.at_ms == newest, CountsRow.buckets == NOTHING))
    return (set(names) - set(session.scalars(mine.distinct()))) | set(names).intersection(nothing)


def are_metrics_known(session: Session, cluster: str) -> bool:
    """Whether the last sample of a cluster had any metrics."""
    return bool(session.scalar(select(LookRow.known).where(LookRow.cluster == cluster)))


def counts_of(session: Session, cluster: str, name: str, most: int) -> list[CountsRow]:
    """The last samples of an endpoint, the oldest first."""
    mine = select(CountsRow).where(CountsRow.cluster == cluster, CountsRow.name == name)
    return list(session.scalars(mine.order_by(CountsRow.at_ms.desc()).limit(most)))[::-1]


def last_counts(session: Session, most: int) -> list[CountsRow]:
    """The last samples of each endpoint, the oldest first."""
    later = func.row_number().over(partition_by=(CountsRow.cluster, CountsRow.name), order_by=CountsRow.at_ms.desc())
    ranked = select(CountsRow, later.label("later")).subquery()
    rows = aliased(CountsRow, ranked)
    return list(session.scalars(select(rows).where(ranked.c.later <= most).order_by(ranked.c.at_ms)))
