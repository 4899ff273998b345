"""All SQL that keeps values."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select, tuple_, update
from sqlalchemy.orm import Session

from submarine_ray.core.errors import SecretLost
from submarine_ray.core.sealed import Kept
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.values.tables import ValueLookRow, ValueNameRow, ValueRow
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import Field, FieldKind, is_label
from submarine_ray.spec.json_types import object_at, text_at
from submarine_ray.tracking.best import Objective

# Names in one statement: SQLite takes 32,766 parameters, and each name has two.
AT_ONCE = 5_000

Name = tuple[FieldKind, str]


@dataclass(frozen=True)
class Due:
    """An experiment to look at, and whether nothing more can come of it."""

    experiment_id: str
    run_id: str | None
    accepted_ms: int
    is_final: bool


@dataclass(frozen=True)
class Value:
    """A value as it is kept: see ValueRow."""

    number: float | None
    text: str

    @property
    def shown(self) -> float | str:
        """As a number if that says what was logged."""
        return self.text if self.number is None or is_label(self.text) else self.number


def begin(session: Session, experiment_id: str, now_ms: int) -> None:
    """Look at a new experiment's run from now on."""
    session.add(ValueLookRow(experiment_id=experiment_id, next_ms=now_ms))


def watch(session: Session, experiment_id: str, now_ms: int) -> None:
    """Look at the experiment's run from now on, even if it had ended."""
    session.merge(ValueLookRow(experiment_id=experiment_id, next_ms=now_ms))


def take_due(session: Session, now_ms: int, next_ms: int, limit: int) -> list[Due]:
    """Those that are to be looked at now; other services leave them alone until `next_ms`."""
    query = select(ValueLookRow).where(ValueLookRow.next_ms <= now_ms).order_by(ValueLookRow.next_ms).limit(limit)
    looks = list(session.scalars(query.with_for_update()))
    ids = [look.experiment_id for look in looks]
    found = _due(session, ids)
    for look in looks:
        look.next_ms = next_ms
    forget(session, set(ids) - {one.experiment_id for one in found})
    return found


def unchanged(session: Session, due: Collection[Due], now_ms: int) -> set[str]:
    """Those that are still what they were when they were taken, and stay so until this transaction ends; the others
    are to be looked at again now.
    """
    ids = [one.experiment_id for one in due]
    now = _due(session, ids, lock=True)  # experiments before looks: in this order reruns lock them, too
    looks = set(session.scalars(select(ValueLookRow.experiment_id).where(ValueLookRow.experiment_id.in_(ids))))
    same = {one.experiment_id for one in set(now).intersection(due)} & looks
    again(session, dict.fromkeys(looks - same, now_ms))
    return same


def _due(session: Session, ids: Collection[str], lock: bool = False) -> list[Due]:
    """What is to be looked at of those experiments that are not deleted."""
    alive = ExperimentRow.id.in_(ids), ExperimentRow.status != ExperimentStatus.DELETED
    query = select(
        ExperimentRow.id, ExperimentRow.run_id, ExperimentRow.accepted_ms, ExperimentRow.archived, ExperimentRow.status
    ).where(*alive)
    rows = session.execute(query.order_by(ExperimentRow.id).with_for_update() if lock else query)
    return [Due(id, run, at, archived and status in ExperimentStatus.ENDED) for id, run, at, archived, status in rows]


def objectives(session: Session, ids: Collection[str]) -> dict[str, Objective]:
    """What the sweeps among some experiments optimize."""
    rows = session.execute(select(ExperimentRow.id, ExperimentRow.spec).where(ExperimentRow.id.in_(ids)))
    return {id: found for id, spec in rows if (found := _objective(spec))}


def _objective(spec: Kept) -> Objective | None:
    try:
        tune = object_at(json.loads(spec.text), "tune")
    except (ValueError, SecretLost):  # what cannot be read is shown as an experiment without trials
        return None
    metric, mode = text_at(tune, "metric"), text_at(tune, "mode")
    return Objective(metric, mode) if metric else None


def is_due(session: Session, now_ms: int) -> bool:
    query = select(ValueLookRow.experiment_id).where(ValueLookRow.next_ms <= now_ms).limit(1)
    return session.scalar(query) is not None


def again(session: Session, due: Mapping[str, int]) -> None:
    """When each experiment is to be looked at next."""
    rows = [{"experiment_id": id, "next_ms": next_ms} for id, next_ms in due.items()]
    if rows:
        session.execute(update(ValueLookRow), rows)


def done(session: Session, ids: Collection[str]) -> None:
    """Look at these no more."""
    session.execute(delete(ValueLookRow).where(ValueLookRow.experiment_id.in_(ids)))


def forget(session: Session, ids: Collection[str]) -> None:
    """Drop what is known of deleted experiments."""
    if ids:
        done(session, ids)
        session.execute(delete(ValueRow).where(ValueRow.experiment_id.in_(ids)))


def find_names(session: Session, names: Iterable[Name]) -> dict[Name, int]:
    """The ids of those names that there are."""
    wanted = list(dict.fromkeys(names))
    found: dict[Name, int] = {}
    for first in range(0, len(wanted), AT_ONCE):
        some = [(str(kind), name) for kind, name in wanted[first : first + AT_ONCE]]
        query = select(ValueNameRow).where(tuple_(ValueNameRow.kind, ValueNameRow.name).in_(some))
        found |= {(FieldKind(row.kind), row.name): row.id for row in session.scalars(query)}
    return found


def name_ids(session: Session, names: Collection[Name]) -> dict[Name, int]:
    """The ids of names; those that are new get one. Raises IntegrityError if another service adds one just now."""
    found = find_names(session, names)
    if missing := [name for name in names if name not in found]:
        session.execute(insert(ValueNameRow), [{"kind": str(kind), "name": name} for kind, name in missing])
        found |= find_names(session, missing)
    return found


def known(session: Session, ids: Collection[str]) -> dict[str, dict[int, Value]]:
    """The kept values of some experiments, by the ids of their names."""
    found: dict[str, dict[int, Value]] = {id: {} for id in ids}
    query = select(ValueRow.experiment_id, ValueRow.name_id, ValueRow.number, ValueRow.text)
    for id, name_id, number, text in session.execute(query.where(ValueRow.experiment_id.in_(ids))):
        found[id][name_id] = Value(number, text)
    return found


def replace(session: Session, found: Mapping[str, Mapping[int, Value]]) -> None:
    """Keep the values of some experiments, by the ids of their names, instead of those before."""
    before = known(session, found)
    new: list[dict[str, object]] = []
    changed: list[dict[str, object]] = []
    for id, values in found.items():
        for name_id, value in values.items():
            if before[id].get(name_id) != value:
                row = {"experiment_id": id, "name_id": name_id, "number": value.number, "text": value.text}
                (changed if name_id in before[id] else new).append(row)
        if gone := before[id].keys() - values.keys():
            mine = ValueRow.experiment_id == id, ValueRow.name_id.in_(gone)
            session.execute(delete(ValueRow).where(*mine))
    if new:
        session.execute(insert(ValueRow), new)
    if changed:
        session.execute(update(ValueRow), changed)


def fields(session: Session, part: str, limit: int) -> list[Field]:
    """The parameters and metrics whose names have a part, in the order of the alphabet."""
    is_used = exists().where(ValueRow.name_id == ValueNameRow.id)  # an experiment that is gone leaves its names
    query = select(ValueNameRow).where(ValueNameRow.name.icontains(part, autoescape=True), is_used)
    rows = session.scalars(query.order_by(ValueNameRow.name, ValueNameRow.kind).limit(limit))
    return [Field(FieldKind(row.kind), row.name) for row in rows]


def of_fields(session: Session, ids: Collection[str], fields: Collection[Field]) -> dict[str, dict[Field, Value]]:
    """The values of some fields of some experiments."""
    names = find_names(session, [name for field in fields for name in possible(field)])
    by_id = {id: name for name, id in names.items()}
    query = select(ValueRow).where(ValueRow.experiment_id.in_(ids), ValueRow.name_id.in_(by_id))
    found: dict[str, dict[Name, Value]] = {}
    for row in session.scalars(query):
        found.setdefault(row.experiment_id, {})[by_id[row.name_id]] = Value(row.number, row.text)
    return {
        id: {field: values[name] for field in fields for name in reversed(possible(field)) if name in values}
        for id, values in found.items()
    }


def possible(field: Field) -> tuple[Name, ...]:
    """What a field may be: of a name alone, the metric rather than the parameter."""
    if field.kind is FieldKind.ATTRIBUTE:
        return ()
    if field.kind is FieldKind.LOGGED:
        return ((FieldKind.METRIC, field.name), (FieldKind.PARAM, field.name))
    return ((field.kind, field.name),)
