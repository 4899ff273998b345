"""Metric histories small enough to draw, however many points were logged.

MLflow's client reads every point of a history, so this asks MLflow's own tables; the columns used here have been the
same since MLflow 1.13. Short histories are condensed by the database into stretches with their mean and extremes. Of
long ones that would cost seconds; there the index on (key, timestamp) finds one moment a stretch, and its points.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    Row,
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
MAX_STRETCHES = 10_000  # of all curves of a chart together
_FEWEST = 100
_SEEKS_AT_ONCE = 100  # SQLite joins at most 500 queries
_SHORT = 20_000
_CLOCKS_DIFFER_MS = 10 * 60_000
Axis = Literal["step", "time"]
Window = tuple[float, float]  # the ends of a part of x, of which both belong to it
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
_RUNS = table("runs", column("run_uuid", String), column("start_time", BigInteger), column("end_time", BigInteger))


def _seek(number: int) -> Select[int]:
    at = _METRICS.c.timestamp
    mine = _METRICS.c.run_uuid == bindparam("run"), _METRICS.c.key == bindparam("name")
    found = select(at).where(*mine, at >= bindparam(f"begin{number}")).order_by(at).limit(1).subquery()
    return select(found.c.timestamp)


# Each with a beginning of its own: MariaDB cannot seek to one that another part of the query computes.
_SEEKS = union_all(*map(_seek, range(_SEEKS_AT_ONCE)))


@dataclass
class History:
    """A curve in columns, in the order of x. Each row is one stretch of it: where it begins, its mean and its extremes.

    `times`: milliseconds since 1970, as is `began`, when the run began. NaN and infinities are counted in `odd` by row
    (NaN, infinite, minus infinite), and are no part of the mean: of a stretch that has nothing else, the value is None.
    `is_whole`: each point that was logged is here, so a part of the curve has no finer ones.
    """

    began: int
    is_whole: bool = True
    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    lows: list[float | None] = field(default_factory=list)
    highs: list[float | None] = field(default_factory=list)
    odd: dict[int, tuple[int, int, int]] = field(default_factory=dict)


def read(
    database: Database,
    runs: Collection[str],
    keys: Collection[str],
    axis: Axis = "step",
    window: Window | None = None,
) -> dict[Curve, History]:
    """The curves of some metrics of some runs, by (run, key); each has at most `MAX_POINTS` rows.

    `axis`: which of the two is x. `window`: read that part of x alone, finer than it is in the whole curve.
    """
    found: dict[Curve, History] = {}
    stretches = max(_FEWEST, min(STRETCHES, MAX_STRETCHES // max(1, len(runs))))
    with database.session() as session:
        rows = session.execute(
            select(_LATEST.c.run_uuid, _LATEST.c.key, _LATEST.c.step, _LATEST.c.timestamp)
            .add_columns(_RUNS.c.start_time, _RUNS.c.end_time, _LATEST.c.value, _LATEST.c.is_nan)
            .join(_RUNS, _RUNS.c.run_uuid == _LATEST.c.run_uuid)
            .where(_LATEST.c.run_uuid.in_(runs), _LATEST.c.key.in_(keys))
        ).all()
        # Curves of one time lie between each other in the index: each that is read whole costs as much as all of them.
        short = _SHORT // max(1, len(runs))
        for run, key, step, newest, began, ended, value, is_nan in rows:
            reader = _Reader(session, (run, key), axis, (began or newest, newest, ended), stretches)
            if window is not None:
                found[run, key] = reader.part(window, short)
                continue
            history = reader.sampled() if step > short and reader.has_lasted else History(0)
            found[run, key] = history if history.steps else reader.condensed()
            _end(found[run, key], step, newest, _logged(value, is_nan))
    return {curve: history for curve, history in found.items() if history.steps}


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


class _Reader:
    """Reads one curve. `times`: when its run began, its last value was logged, and the run ended, if it has."""

    def __init__(
        self, session: Session, curve: Curve, axis: Axis, times: tuple[int, int, int | None], stretches: int
    ) -> None:
        self._session = session
        self._axis = axis
        self._curve = curve
        self._began, self._newest, ended = times
        self._stretches = stretches
        self._mine = (_METRICS.c.run_uuid == curve[0], _METRICS.c.key == curve[1])
        self._meanwhile: tuple[ColumnElement[bool], ...] = ()
        if self.has_lasted:  # else the points have moments of their own, from before the run
            self._meanwhile = (_METRICS.c.timestamp >= self._began - _CLOCKS_DIFFER_MS,)
            if ended:
                self._meanwhile += (_METRICS.c.timestamp <= max(ended, self._newest) + _CLOCKS_DIFFER_MS,)

    @property
    def has_lasted(self) -> bool:
        return self._began < self._newest

    def condensed(self, *within: ColumnElement[bool]) -> History:
        """Every point counts: the mean and the extremes of each stretch of x."""
        x = _METRICS.c.step if self._axis == "step" else _METRICS.c.timestamp
        where = (*self._mine, *self._meanwhile, *within)
        first, last, count = self._session.execute(select(func.min(x), func.max(x), func.count()).where(*where)).one()
        made = History(self._began)
        if first is None:
            return made
        span = last - first + 1
        value, is_number = _METRICS.c.value, _METRICS.c.is_nan.is_(False)
        finite = case((and_(is_number, value > -LARGEST, value < LARGEST), value))
        counts = (~is_number, and_(is_number, value >= LARGEST), and_(is_number, value <= -LARGEST))
        rows = self._session.execute(
            select(func.min(_METRICS.c.step), func.min(_METRICS.c.timestamp))
            .add_columns(func.avg(finite), func.min(finite), func.max(finite))
            .add_columns(*(func.sum(case((kind, 1), else_=0)) for kind in counts))
            .where(*where)
            .group_by((x - first) * min(self._stretches, span) // span)
            .order_by(func.min(x))
        ).all()
        for number, (begin, time, mean, low, high, *odd) in enumerate(rows):
            made.steps.append(int(begin))
            made.times.append(int(time))
            made.values.append(mean)
            made.lows.append(low)
            made.highs.append(high)
            if any(odd):
                made.odd[number] = int(odd[0]), int(odd[1]), int(odd[2])
        made.is_whole = len(rows) == count
        return made

    def sampled(self, part: tuple[int, int] | None = None, stretches: int = 0) -> History:
        """The points logged at the first moment of each stretch of time, or of a part of it."""
        began, newest = part or (self._began, self._newest)
        stretches = stretches or self._stretches
        begins = [began + (newest - began) * number // stretches for number in range(stretches)]
        moments = {newest}
        for place in range(0, len(begins), _SEEKS_AT_ONCE):
            some = begins[place : place + _SEEKS_AT_ONCE]
            some += [newest] * (_SEEKS_AT_ONCE - len(some))
            asked = {f"begin{number}": begin for number, begin in enumerate(some)}
            moments |= set(self._session.scalars(_SEEKS, {"run": self._curve[0], "name": self._curve[1], **asked}))
        columns = (_METRICS.c.step, _METRICS.c.timestamp, _METRICS.c.value, _METRICS.c.is_nan)
        rows = self._session.execute(select(*columns).where(*self._mine, _METRICS.c.timestamp.in_(moments))).all()
        # Asked to, SQLite would read the whole curve in its steps' order.
        rows = sorted(rows, key=itemgetter(0 if self._axis == "step" else 1))
        every = -(-len(rows) // MAX_POINTS) or 1
        return _history(self._began, rows[::every])

    def part(self, window: Window, short: int) -> History:
        """A part of the curve. Where its steps are, the index on time finds."""
        at, step = _METRICS.c.timestamp, _METRICS.c.step
        first, last = math.floor(window[0]), math.ceil(window[1])
        within: tuple[ColumnElement[bool], ...] = ()
        if self._axis == "step":
            within = step >= first, step <= last
            first, last = self._moments(first, last)
        within = (*within, at >= first, at <= last)
        some = select(at).where(*self._mine, *within).limit(short + 1).subquery()
        if (self._session.scalar(select(func.count()).select_from(some)) or 0) > short:
            return self.sampled((first, last))
        return self.condensed(*within)

    def _moments(self, first: int, last: int) -> tuple[int, int]:
        """Between which moments such steps were logged, in a curve whose steps rise with time."""
        whole = self.sampled(stretches=_FEWEST)
        marks = list(zip(whole.steps, whole.times, strict=True))
        before = (time for step, time in marks if step <= first)
        after = (time for step, time in marks if step >= last)
        newest = max(self._newest, max(whole.times, default=0))
        return max(before, default=min(whole.times, default=0)), min(after, default=newest)


def _history(began: int, rows: Sequence[Row[int, int, float, bool]]) -> History:
    """A history of some of its points."""
    made = History(began, is_whole=False)
    for number, (step, at, logged, is_nan) in enumerate(rows):
        value = _logged(logged, is_nan)
        is_finite = math.isfinite(value)
        made.steps.append(int(step))
        made.times.append(int(at))
        made.values.append(value if is_finite else None)
        if not is_finite:
            made.odd[number] = int(math.isnan(value)), int(value == math.inf), int(value == -math.inf)
    made.lows = made.highs = made.values
    return made


def _end(history: History, step: int, at: int, value: float) -> None:
    """Have the last value itself at the end of a curve, and not only the mean of its last stretch."""
    if not history.steps or history.is_whole or not math.isfinite(value) or history.steps[-1] >= step:
        return
    history.steps.append(step)
    history.times.append(at)
    for values in {id(one): one for one in (history.values, history.lows, history.highs)}.values():
        values.append(value)  # of a sampled history the three are one


def _logged(value: float, is_nan: bool) -> float:
    """A value as it was logged: MLflow has a column for NaN."""
    return math.nan if is_nan else stored(value)
