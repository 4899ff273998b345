"""All SQL about experiments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, load_only

from submarine_ray.core import events, leases
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import add_new
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.core.events import Event
from submarine_ray.core.paging import Cursor, after
from submarine_ray.experiments import sweep_rows, words
from submarine_ray.experiments.tables import AttemptRow, BegunRow, ExperimentRow, ExperimentTagRow, ProvenanceRow
from submarine_ray.experiments.values import repository as values
from submarine_ray.experiments.values.conditions import Conditions, in_state
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.filters import Choices, Filter
from submarine_ray.spec.quantities import Resources

DAY_MS = 86_400_000
ID_BEGINS = "experiment-"
# Whoever waits for room asks again within this; whoever does not has failed, and holds up nobody.
LONGEST_QUEUE_PAUSE_MS = 5_000
_ALIVE = ExperimentRow.status != ExperimentStatus.DELETED
ACTIVE = (ExperimentStatus.CREATED, ExperimentStatus.RUNNING)


def add(session: Session, row: ExperimentRow, happened: Iterable[Event], tags: Iterable[str] = ()) -> None:
    """Add an experiment. Raises AlreadyExists if the id is taken."""
    add_new(session, row, row.id)
    events.record(session, row.id, happened)
    values.begin(session, row.id, row.accepted_ms)
    set_tags(session, row, list(tags))


def find(session: Session, experiment_id: str, lock: bool = False) -> ExperimentRow | None:
    """A row that is not deleted; with `lock`, nobody else changes it before this transaction ends."""
    query = select(ExperimentRow).where(ExperimentRow.id == experiment_id, _ALIVE)
    return session.scalars(query.with_for_update() if lock else query).first()


def find_all(session: Session, ids: Sequence[str]) -> list[ExperimentRow]:
    """The rows of some experiments in the order of `ids`, without those that are deleted."""
    rows = {row.id: row for row in session.scalars(select(ExperimentRow).where(ExperimentRow.id.in_(ids), _ALIVE))}
    return [rows[id] for id in ids if id in rows]


def filtered(session: Session, wanted: Filter, is_page: bool = False) -> Select[ExperimentRow]:
    """The experiments that a filter finds, in no order. `is_page`: only the first of them are read."""
    query = select(ExperimentRow).where(_ALIVE if wanted.status is None else ExperimentRow.status == wanted.status)
    if wanted.state is not None:
        query = query.where(in_state(wanted.state))
    if wanted.owner is not None:
        query = query.where(ExperimentRow.owner == wanted.owner)
    if wanted.framework is not None:
        query = query.where(ExperimentRow.framework == wanted.framework)
    if wanted.cluster is not None:
        query = query.where(ExperimentRow.cluster == wanted.cluster)
    if wanted.since_ms is not None:
        query = query.where(ExperimentRow.accepted_ms >= wanted.since_ms)
    if wanted.search is not None:
        found = (column.icontains(wanted.search, autoescape=True) for column in (ExperimentRow.name, ExperimentRow.id))
        query = query.where(or_(*found))
    if wanted.tag is not None:
        tagged = select(ExperimentTagRow.experiment_id).where(ExperimentTagRow.tag == wanted.tag)
        query = query.where(ExperimentRow.id.in_(tagged))
    if wanted.expression is not None:
        query = query.where(Conditions.of(session, wanted.expression, now_ms(), is_page).where(wanted.expression))
    return query


def page(session: Session, wanted: Filter, offset: int, limit: int | None) -> list[ExperimentRow]:
    """A page of experiments, newest first, from the `offset`th on."""
    query = filtered(session, wanted).order_by(ExperimentRow.accepted_ms.desc(), ExperimentRow.id.desc())
    return list(session.scalars(query.offset(offset).limit(limit) if limit is not None else query))


def page_after(session: Session, wanted: Filter, limit: int, cursor: Cursor | None) -> list[ExperimentRow]:
    """The experiments behind the cursor, newest first; one more than `limit`."""
    query = filtered(session, wanted).order_by(ExperimentRow.accepted_ms.desc(), ExperimentRow.id.desc())
    return list(session.scalars(after(query, ExperimentRow.accepted_ms, ExperimentRow.id, limit, cursor, True)))


def count(session: Session, wanted: Filter) -> int:
    return session.scalar(select(func.count()).select_from(filtered(session, wanted).subquery())) or 0


def tags(session: Session, experiment_ids: Collection[str]) -> dict[str, list[str]]:
    """The tags of some experiments, by their id."""
    query = select(ExperimentTagRow).where(ExperimentTagRow.experiment_id.in_(experiment_ids))
    found: dict[str, list[str]] = {}
    for row in session.scalars(query.order_by(ExperimentTagRow.tag)):
        found.setdefault(row.experiment_id, []).append(row.tag)
    return found


def choices(session: Session) -> Choices:
    """The values that a list can be filtered by: read from indexes alone, those of experiments that are being deleted
    among them.
    """
    owners = session.scalars(select(ExperimentRow.owner).where(ExperimentRow.owner.is_not(None)).distinct())
    frameworks = session.scalars(select(ExperimentRow.framework).distinct())
    tags = session.scalars(select(ExperimentTagRow.tag).distinct())
    return Choices(sorted(owner for owner in owners if owner is not None), sorted(frameworks), sorted(tags))


def set_tags(session: Session, row: ExperimentRow, tags: Collection[str]) -> None:
    """Replace the experiment's tags, and the words that it is found by: those of its tags and of its name."""
    session.execute(delete(ExperimentTagRow).where(ExperimentTagRow.experiment_id == row.id))
    session.add_all(ExperimentTagRow(experiment_id=row.id, tag=tag) for tag in dict.fromkeys(tags))
    words.put(session, row.id, row.accepted_ms, row.name, tags)


def search(session: Session, text: str, limit: int) -> list[ExperimentRow]:
    """Experiments by a beginning of their id, or by parts of their name and tags."""
    ids = words.find_ids(session, text.strip(), limit) if text.strip().startswith(ID_BEGINS) else []
    return find_all(session, ids or words.find(session, text, limit))


def count_by_state(session: Session) -> dict[str, int]:
    """How many experiments are in each state, as users see them."""
    rows = session.execute(select(ExperimentRow.status, func.count()).group_by(ExperimentRow.status))
    found = dict(rows.all())
    if stopped := count(session, Filter(state=ExperimentStatus.STOPPED)):
        found[ExperimentStatus.STOPPED] = stopped
        found[ExperimentStatus.FAILED] -= stopped
    return found


def count_by_framework(session: Session) -> dict[str, int]:
    framework = ExperimentRow.framework
    rows = session.execute(select(framework, func.count()).where(_ALIVE).group_by(framework))
    return dict(sorted(rows.all()))


def count_by_day(session: Session, first: int) -> dict[int, int]:
    """How many experiments were accepted on each day from `first` on, in days since 1970."""
    day = ExperimentRow.accepted_ms // DAY_MS
    query = select(day, func.count()).where(_ALIVE, ExperimentRow.accepted_ms >= first * DAY_MS).group_by(day)
    return {int(found): count for found, count in session.execute(query)}


def which(session: Session, ids: Collection[str]) -> set[str]:
    """Those of the ids that exist, deleted ones that are still to be cleaned up among them."""
    return set(session.scalars(select(ExperimentRow.id).where(ExperimentRow.id.in_(ids))))


def apply(session: Session, row: ExperimentRow, values: Mapping[str, Any], happened: Sequence[Event]) -> bool:
    """Write what was observed of a leased row, and its events; False if the lease or the desired state has changed."""
    applied = leases.apply(session, row, values)
    if applied:
        events.record(session, row.id, happened)
        if values.get("attempt", row.attempt) != row.attempt:  # a retry, which goes on in the same run
            is_retry = values.get("failures", row.failures) != row.failures
            status = ExperimentStatus.FAILED if is_retry else ExperimentStatus.SUCCEEDED  # a sweep that was extended
            ended = (status, values.get("reason"), values.get("message"))
            keep_attempt(session, row, ended, f"logs/attempt-{row.attempt}")
    return applied


def keep_attempt(session: Session, row: ExperimentRow, ended: tuple[str, str | None, str | None], path: str) -> None:
    """Keep a row's attempt before the next one begins: how it has ended (status, reason, message), and where in its
    run its log is, or will be.
    """
    status, reason, message = ended
    values.watch(session, row.id, now_ms())
    session.merge(
        AttemptRow(
            submission=row.submission_id,
            experiment_id=row.id,
            attempt=row.attempt,
            cluster=row.cluster,
            spec=row.spec,
            status=status,
            reason=reason,
            message=message,
            run_id=row.run_id,
            log_path=path,
            created_ms=row.created_ms,
            running_ms=row.running_ms,
            finished_ms=row.finished_ms or now_ms(),
        )
    )


def earlier_attempts(session: Session, experiment_id: str) -> list[AttemptRow]:
    """The experiment's attempts that others have followed, in their order."""
    query = select(AttemptRow).where(AttemptRow.experiment_id == experiment_id)
    return list(session.scalars(query.order_by(AttemptRow.attempt)))


def earlier_attempt(session: Session, submission: str) -> AttemptRow | None:
    """An attempt that another has followed, by its submission id."""
    return session.get(AttemptRow, submission)


def write(session: Session, row: ExperimentRow, outcome: Outcome) -> bool:
    """Write what came of a step of a leased row; False if the lease or the desired state has changed."""
    return purge(session, row) if outcome.remove else apply(session, row, outcome.values, outcome.events)


def note_run(
    session: Session, row: ExperimentRow, run_id: str, mlflow_experiment_id: str, happened: Sequence[Event]
) -> bool:
    """Keep the MLflow run of a leased row, which stays leased; False if the lease is another's by now."""
    noted = session.execute(
        update(ExperimentRow)
        .where(ExperimentRow.id == row.id, ExperimentRow.lock_token == row.lock_token)
        .values(run_id=run_id, mlflow_experiment_id=mlflow_experiment_id)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if noted:
        events.record(session, row.id, happened)
    return bool(noted)


# What admission needs of a row: no spec.
_SIZE = load_only(
    ExperimentRow.status,
    ExperimentRow.accepted_ms,
    ExperimentRow.units,
    ExperimentRow.demand_cpu,
    ExperimentRow.demand_memory,
    ExperimentRow.demand_gpu,
)


def active(session: Session, cluster: str) -> list[ExperimentRow]:
    """The cluster's experiments that hold what they asked for."""
    query = select(ExperimentRow).where(ExperimentRow.cluster == cluster, ExperimentRow.status.in_(ACTIVE))
    return list(session.scalars(query.options(_SIZE).order_by(ExperimentRow.id)))


def waiting(session: Session, cluster: str, within: Resources, limit: int) -> list[ExperimentRow]:
    """The experiments that wait for room on a cluster and ask for no more than `within`, in their order."""
    rows = session.scalars(
        select(ExperimentRow)
        .where(ExperimentRow.cluster == cluster, ExperimentRow.fits(within), *_waits_for_room())
        .options(_SIZE)
        .order_by(ExperimentRow.accepted_ms, ExperimentRow.id)
        .limit(limit)
    )
    return list(rows)


def still_waiting(session: Session, ids: Collection[str]) -> list[ExperimentRow]:
    """Those of the ids that wait for room."""
    query = select(ExperimentRow).where(ExperimentRow.id.in_(ids), *_waits_for_room()).options(_SIZE)
    return list(session.scalars(query))


def _waits_for_room() -> Iterator[ColumnElement[bool]]:
    """Conditions of an experiment that waits for room alone, and is not paused after a failure."""
    yield from (ExperimentRow.status == ExperimentStatus.ACCEPTED, ExperimentRow.wanted == "run")
    for_room = or_(ExperimentRow.reason.is_(None), ExperimentRow.reason == "Queued")
    asks_soon = ExperimentRow.next_check_ms <= due_ms() + LONGEST_QUEUE_PAUSE_MS
    yield or_(and_(for_room, asks_soon), ExperimentRow.next_check_ms <= due_ms())


def wake(session: Session, ids: Sequence[str]) -> None:
    """Make rows due now."""
    leases.wake(session, ExperimentRow, ids, due_ms())


def abandon(session: Session, cluster: str) -> list[str]:
    """Give up what a cluster has: it has failed, and is cleaned up as it is. The ids of those that had not ended."""
    rows = session.scalars(
        select(ExperimentRow).where(ExperimentRow.cluster == cluster, ExperimentRow.next_check_ms.is_not(None))
    ).all()
    told = []
    for row in rows:
        if row.wanted == "delete":
            session.delete(row)
            _forget(session, row.id)
            continue
        if row.status not in ExperimentStatus.ENDED:
            why = f"Its cluster {cluster!r} was removed."
            events.record(session, row.id, [Event("ClusterRemoved", why, row.status, ExperimentStatus.FAILED)])
            row.status, row.reason, row.message = ExperimentStatus.FAILED, "ClusterRemoved", why
            row.finished_ms = now_ms()
            told.append(row.id)
        row.next_check_ms, row.archived, row.superseded = None, True, ""
        row.generation += 1
    return told


def begin(session: Session, experiment_id: str, submission: str, run: str) -> str:
    """The run that has begun the attempt, which is this one if there was none. Raises AlreadyExists if another begins
    it at the same time.
    """
    found = session.get(BegunRow, submission)
    if found is None:
        session.add(BegunRow(submission=submission, experiment_id=experiment_id, run=run, time_ms=now_ms()))
        try:
            session.flush()
        except IntegrityError as failure:
            raise AlreadyExists(submission) from failure
    return run if found is None else found.run


def unfinished(session: Session, cluster: str) -> int:
    """How many of a cluster's experiments are not yet cleaned up."""
    return leases.unfinished(session, ExperimentRow, ExperimentRow.cluster == cluster)


def packages(session: Session) -> set[str]:
    """The package URLs that experiments refer to."""
    query = select(ExperimentRow.package).where(ExperimentRow.package.is_not(None)).distinct()
    return {url for url in session.scalars(query) if url}


def with_password(session: Session, after: str, limit: int) -> list[ExperimentRow]:
    """Rows whose password lies beside their spec, by their ids, behind the id `after`."""
    query = select(ExperimentRow).where(ExperimentRow.sealed_password.is_not(None), ExperimentRow.id > after)
    return list(session.scalars(query.order_by(ExperimentRow.id).limit(limit).with_for_update()))


def purge(session: Session, row: ExperimentRow) -> bool:
    """Drop a deleted experiment with its history; False if the lease is another's by now."""
    if gone := leases.remove(session, row):
        _forget(session, row.id)
    return gone


def _forget(session: Session, experiment_id: str) -> None:
    for table in (BegunRow, AttemptRow, ProvenanceRow):
        session.execute(delete(table).where(table.experiment_id == experiment_id))
    events.forget(session, experiment_id)
    values.forget(session, [experiment_id])
    sweep_rows.forget(session, experiment_id)
    words.forget(session, experiment_id)
    session.execute(delete(ExperimentTagRow).where(ExperimentTagRow.experiment_id == experiment_id))
