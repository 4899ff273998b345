"""Metric histories small enough to draw, however many points were logged.

MLflow's client reads every point of a history, so this asks MLflow's own tables; the columns used here have been the
same since MLflow 1.13. Short histories are condensed by the database into stretches with their mean and extremes. Of
long ones that would cost seconds; there the index on (key, timestamp) finds one moment a stretch, and its points.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Select,
    String,
    TableClause,
    and_,
    bindparam,
    case,
    column,
    func,
    select,
    table,
    union_all,
)
from sqlalchemy.orm import Session

from submarine_ray.core.database import Database
from submarine_ray.spec.numbers import LARGEST, stored

MAX_POINTS = 5000  # that cross the wire a curve
STRETCHES = 900
_SEEKS_AT_ONCE = 100  # SQLite joins at most 500 queries
_SHORT = 20_000
Axis = Literal["step", "time"]
Curve = tuple[str, str]
Mark = tuple[int, int, int]


class Latest(NamedTuple):
    """A metric's last value, which may be NaN or infinite; `timestamp` in milliseconds since 1970."""

    run: str
    key: str
    value: float
    step: int
    timestamp: int


def _metrics(name: str) -> TableClause:
    return table(
        name,
        column("run_uuid", String),
        column("key", String),
        column("value", Double),
        column("timestamp", BigInteger),
        column("step", BigInteger),
        column("is_nan", Boolean),
    )


_METRICS = _metrics("metrics")
_LATEST = _metrics("latest_metrics")
_PARAMS = table("params", column("run_uuid", String), column("key", String), column("value", String))
_RUNS = table("runs", column("run_uuid", String), column("start_time", BigInteger))


def _seek(number: int) -> Select[int]:
    at = _METRICS.c.timestamp
    mine = _METRICS.c.run_uuid == bindparam("run"), _METRICS.c.key == bindparam("name")
    found = select(at).where(*mine, at >= bindparam(f"begin{number}")).order_by(at).limit(1).subquery()
    return select(found.c.timestamp)


# Each with a beginning of its own: MariaDB cannot seek to one that another part of the query computes.
_SEEKS = union_all(*map(_seek, range(_SEEKS_AT_ONCE)))


@dataclass(frozen=True)
class Point:
    """One stretch of a curve: where it begins (a step, or milliseconds since 1970), its mean, and how far it strays.

    NaN and infinities are counted, and no part of the mean; of a stretch that has nothing else, `value` is None.
    """

    x: int
    value: float | None
    low: float | None
    high: float | None
    nan: int = 0
    infinite: int = 0
    minus_infinite: int = 0


def read(
    database: Database, runs: Collection[str], keys: Collection[str], axis: Axis = "step"
) -> dict[Curve, list[Point]]:
    """The curves of some metrics of some runs, by (run, key); each has at most `MAX_POINTS` points, in order of x."""
    found: dict[Curve, list[Point]] = {}
    with database.session() as session:
        rows = session.execute(
            select(_LATEST.c.run_uuid, _LATEST.c.key, _LATEST.c.step, _LATEST.c.timestamp, _RUNS.c.start_time)
            .join(_RUNS, _RUNS.c.run_uuid == _LATEST.c.run_uuid)
            .where(_LATEST.c.run_uuid.in_(runs), _LATEST.c.key.in_(keys))
        ).all()
        for run, key, step, newest, began in rows:
            points = _sampled(session, (run, key), axis, began, newest) if step > _SHORT and began < newest else []
            found[run, key] = points or _condensed(session, (run, key), axis)
    return {curve: points for curve, points in found.items() if points}


def latest(database: Database, runs: Collection[str]) -> list[Latest]:
    """The last value of each metric of some runs, in the order of their names."""
    query = select(
        _LATEST.c.run_uuid,
        _LATEST.c.key,
        _LATEST.c.value,
        _LATEST.c.is_nan,
        _LATEST.c.step,
        _LATEST.c.timestamp,
    ).where(_LATEST.c.run_uuid.in_(runs))
    with database.session() as session:
        rows = session.execute(query.order_by(_LATEST.c.key))
        return [Latest(run, key, _logged(value, is_nan), step, at) for run, key, value, is_nan, step, at in rows]


def params(database: Database, runs: Collection[str]) -> list[tuple[str, str, str]]:
    """(run, name, value) of each parameter of some runs, in the order of their names."""
    query = select(_PARAMS.c.run_uuid, _PARAMS.c.key, _PARAMS.c.value).where(_PARAMS.c.run_uuid.in_(runs))
    with database.session() as session:
        return [(run, key, value) for run, key, value in session.execute(query.order_by(_PARAMS.c.key))]


def marks(database: Database, runs: Collection[str]) -> dict[str, Mark]:
    """Something that differs as soon as a run has logged more: one look for many runs. A run without has none."""
    metrics = select(_LATEST.c.run_uuid, func.max(_LATEST.c.timestamp), func.sum(_LATEST.c.step) + func.count())
    params = select(_PARAMS.c.run_uuid, func.count())  # a parameter never changes
    with database.session() as session:
        moved = session.execute(metrics.where(_LATEST.c.run_uuid.in_(runs)).group_by(_LATEST.c.run_uuid))
        found: dict[str, Mark] = {run: (int(newest), int(steps), 0) for run, newest, steps in moved}
        for run, count in session.execute(params.where(_PARAMS.c.run_uuid.in_(runs)).group_by(_PARAMS.c.run_uuid)):
            newest, steps, _ = found.get(run, (0, 0, 0))
            found[run] = newest, steps, count
        return found


def _condensed(session: Session, curve: Curve, axis: Axis) -> list[Point]:
    """Every point counts: the mean and the extremes of each stretch."""
    x = _METRICS.c.step if axis == "step" else _METRICS.c.timestamp
    mine = _METRICS.c.run_uuid == curve[0], _METRICS.c.key == curve[1]
    first, last = session.execute(select(func.min(x), func.max(x)).where(*mine)).one()
    if first is None:
        return []
    span = last - first + 1
    value, is_number = _METRICS.c.value, _METRICS.c.is_nan.is_(False)
    finite = case((and_(is_number, value > -LARGEST, value < LARGEST), value))
    counts = (~is_number, and_(is_number, value >= LARGEST), and_(is_number, value <= -LARGEST))
    rows = session.execute(
        select(func.min(x), func.avg(finite), func.min(finite), func.max(finite))
        .add_columns(*(func.sum(case((kind, 1), else_=0)) for kind in counts))
        .where(*mine)
        .group_by((x - first) * min(STRETCHES, span) // span)
        .order_by(func.min(x))
    )
    return [Point(int(begin), mean, low, high, *map(int, odd)) for begin, mean, low, high, *odd in rows]


def _sampled(session: Session, curve: Curve, axis: Axis, began: int, newest: int) -> list[Point]:
    """The points logged at the first moment of each stretch of time."""
    mine = _METRICS.c.run_uuid == curve[0], _METRICS.c.key == curve[1]
    begins = [began + (newest - began) * number // STRETCHES for number in range(STRETCHES)]
    moments = {newest}
    for first in range(0, STRETCHES, _SEEKS_AT_ONCE):
        asked = {f"begin{number}": begin for number, begin in enumerate(begins[first : first + _SEEKS_AT_ONCE])}
        moments |= set(session.scalars(_SEEKS, {"run": curve[0], "name": curve[1], **asked}))
    x = _METRICS.c.step if axis == "step" else _METRICS.c.timestamp
    rows = session.execute(
        select(x, _METRICS.c.value, _METRICS.c.is_nan).where(*mine, _METRICS.c.timestamp.in_(moments))
    ).all()
    rows = sorted(rows, key=itemgetter(0))  # asked to, SQLite would read the whole curve in its steps' order
    every = -(-len(rows) // MAX_POINTS) or 1
    return [_point(int(at), _logged(value, is_nan)) for at, value, is_nan in rows[::every]]


def _logged(value: float, is_nan: bool) -> float:
    """A value as it was logged: MLflow has a column for NaN."""
    return math.nan if is_nan else stored(value)


def _point(x: int, value: float) -> Point:
    if math.isfinite(value):
        return Point(x, value, value, value)
    return Point(x, None, None, None, int(math.isnan(value)), int(value == math.inf), int(value == -math.inf))
