"""Metric histories small enough to draw, however many points were logged.

MLflow's client reads every point of a history, so this asks MLflow's own tables; the columns used here have been the
same since MLflow 1.13. Short histories are condensed by the database into stretches with their mean and extremes. Of
long ones that would cost seconds; there the index on (key, timestamp) finds one moment a stretch, and its points.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    String,
    TableClause,
    case,
    column,
    func,
    literal,
    select,
    table,
)
from sqlalchemy.orm import Session

from submarine_ray.core.database import Database

MAX_POINTS = 5000  # that cross the wire a curve
STRETCHES = 900  # MariaDB stops a recursion at 1,000
_SHORT = 20_000
_LARGEST = 1e308  # MLflow stores an infinity as the largest number there is
Axis = Literal["step", "time"]
Curve = tuple[str, str]


class Latest(NamedTuple):
    """A metric's last value, None for NaN; `timestamp` in milliseconds since 1970."""

    run: str
    key: str
    value: float | None
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
_RUNS = table("runs", column("run_uuid", String), column("start_time", BigInteger))


@dataclass(frozen=True)
class Point:
    """One stretch of a curve: where it begins (a step, or milliseconds since 1970), its mean, and how far it strays."""

    x: int
    value: float
    low: float
    high: float


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
        case((_LATEST.c.is_nan.is_(False), _LATEST.c.value)),
        _LATEST.c.step,
        _LATEST.c.timestamp,
    ).where(_LATEST.c.run_uuid.in_(runs))
    with database.session() as session:
        return [Latest(*row) for row in session.execute(query.order_by(_LATEST.c.key))]


def marks(database: Database, runs: Collection[str]) -> dict[str, tuple[int, int]]:
    """Something that differs as soon as a run has logged more: one look for many runs."""
    query = select(_LATEST.c.run_uuid, func.max(_LATEST.c.timestamp), func.sum(_LATEST.c.step) + func.count())
    with database.session() as session:
        rows = session.execute(query.where(_LATEST.c.run_uuid.in_(runs)).group_by(_LATEST.c.run_uuid))
        return {run: (int(newest), int(steps)) for run, newest, steps in rows}


def _condensed(session: Session, curve: Curve, axis: Axis) -> list[Point]:
    """Every point counts: the mean and the extremes of each stretch."""
    x = _METRICS.c.step if axis == "step" else _METRICS.c.timestamp
    mine = _METRICS.c.run_uuid == curve[0], _METRICS.c.key == curve[1], _METRICS.c.is_nan.is_(False)
    first, last = session.execute(select(func.min(x), func.max(x)).where(*mine)).one()
    if first is None:
        return []
    span = last - first + 1
    finite = case((_METRICS.c.value.between(-_LARGEST, _LARGEST), _METRICS.c.value))
    rows = session.execute(
        select(func.min(x), func.avg(finite), func.min(finite), func.max(finite))
        .where(*mine)
        .group_by((x - first) * min(STRETCHES, span) // span)
        .order_by(func.min(x))
    )
    return [Point(int(begin), mean, low, high) for begin, mean, low, high in rows if mean is not None]


def _sampled(session: Session, curve: Curve, axis: Axis, began: int, newest: int) -> list[Point]:
    """The points logged at the first moment of each stretch of time."""
    mine = _METRICS.c.run_uuid == curve[0], _METRICS.c.key == curve[1]
    width = max(1, (newest - began) // STRETCHES)
    stretch = select(literal(began, BigInteger).label("begin")).cte("stretch", recursive=True)
    stretch = stretch.union_all(select(stretch.c.begin + width).where(stretch.c.begin + width <= newest))
    moment = (
        select(_METRICS.c.timestamp)
        .where(*mine, _METRICS.c.timestamp >= stretch.c.begin)
        .order_by(_METRICS.c.timestamp)
        .limit(1)
        .scalar_subquery()
    )
    moments = {found for found in session.scalars(select(moment).select_from(stretch)) if found is not None}
    x = _METRICS.c.step if axis == "step" else _METRICS.c.timestamp
    rows = session.execute(
        select(x, _METRICS.c.value)
        .where(*mine, _METRICS.c.timestamp.in_(moments | {newest}), _METRICS.c.is_nan.is_(False))
        .where(_METRICS.c.value.between(-_LARGEST, _LARGEST))
        .order_by(x)
    ).all()
    every = -(-len(rows) // MAX_POINTS) or 1
    return [Point(int(at), value, value, value) for at, value in rows[::every]]
