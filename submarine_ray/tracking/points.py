"""Points of metrics in MLflow's own tables, many in one transaction, with how far their writer has come.

What stands there afterwards is what MLflow's `log_batch` would have left (SqlAlchemyStore of MLflow 3.17;
tests/unit/test_points.py compares them). One table of ours is beside MLflow's: `db upgrade` knows its own
tables only, and leaves others alone.
"""

from __future__ import annotations

import math
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol, cast

from sqlalchemy import Connection, and_, bindparam, column, insert, select, table, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, DatabaseUnavailable, InvalidSpec, NotFound
from submarine_ray.spec.spool.batches import Batch, Points

ROWS_A_STATEMENT = 2_000  # 200 KB: below any server's max_allowed_packet
KEYS_A_QUERY = 500
TRIES = 5
# Of SQLite's one write lock this share is left to MLflow's own writers, which look for it now and then.
LEFT_TO_OTHERS = 0.1
_DEADLOCK, _LOCK_TIMEOUT = 1213, 1205  # MySQL's numbers

_LARGEST = sys.float_info.max
_TABLE = """
CREATE TABLE IF NOT EXISTS submarine_metric_writers (
    run_uuid VARCHAR(32) NOT NULL, writer VARCHAR(64) NOT NULL, sequence BIGINT NOT NULL, PRIMARY KEY (run_uuid, writer)
)
"""
_RUN = text("SELECT lifecycle_stage FROM runs WHERE run_uuid = :run")
_SEQUENCE = "SELECT sequence FROM submarine_metric_writers WHERE run_uuid = :run AND writer = :writer"
_FIRST = text("INSERT INTO submarine_metric_writers (run_uuid, writer, sequence) VALUES (:run, :writer, 0)")
_NEXT = text("UPDATE submarine_metric_writers SET sequence = :sequence WHERE run_uuid = :run AND writer = :writer")
_INSERT = (
    'INSERT INTO metrics (run_uuid, "key", value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?) '
    "ON CONFLICT DO NOTHING"
)
_LATEST = table(
    "latest_metrics",
    *(column(name) for name in ("run_uuid", "key", "value", "timestamp", "step", "is_nan")),
)


_INSERT_MANY = "INSERT IGNORE INTO metrics (run_uuid, `key`, value, timestamp, step, is_nan) VALUES "


class Last(NamedTuple):
    """A point as MLflow orders those of a metric, and at last by which came first."""

    step: int
    timestamp: int
    value: float
    place: int
    is_nan: int

    def follows(self, known: tuple[int, int, float]) -> bool:
        return (self.step, self.timestamp, self.value) > known


class _Driver(Protocol):
    """PyMySQL's connection."""

    def escape(self, value: str) -> str: ...


class MetricPoints:
    """All SQL that stores points; `database` is MLflow's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_sqlite = database.engine.dialect.name == "sqlite"
        self._lock = "" if self._is_sqlite else " FOR UPDATE"
        self._turn = threading.Lock()

    def prepare(self) -> None:
        """Make our table, once MLflow has made its own."""
        with self._database.session(write=True) as session:
            session.execute(text(_TABLE))

    def stored(self, run_id: str, writer: str) -> int:
        """The last sequence number of a writer's; 0 before the first. Raises as `append`, but for Conflict."""
        with self._database.session() as session:
            _check_run(session.connection(), run_id)
            return session.scalar(text(_SEQUENCE), {"run": run_id, "writer": writer}) or 0

    def append(self, run_id: str, batch: Batch) -> int:
        """Store a batch, unless it is stored already; the writer's last sequence number then.

        Raises NotFound, InvalidSpec: there is no such run, it is deleted, or its database takes two names for one.
        Raises Conflict: between this batch and what is stored something is missing. Raises DatabaseUnavailable.
        """
        if not self._is_sqlite:
            return _again(lambda: self._append(run_id, batch), batch.points.keys)
        with self._turn:
            begun = time.monotonic()
            try:
                return self._append(run_id, batch)
            finally:
                time.sleep((time.monotonic() - begun) * LEFT_TO_OTHERS)

    def _append(self, run_id: str, batch: Batch) -> int:
        with self._database.session(write=True) as session:
            connection = session.connection()
            _check_run(connection, run_id)
            named = {"run": run_id, "writer": batch.writer}
            known = connection.scalar(text(_SEQUENCE + self._lock), named)
            if known is None:
                connection.execute(_FIRST, named)
                known = 0
            if batch.sequence <= known:
                return int(known)
            if batch.after is not None and batch.after != known:
                raise Conflict(
                    f"What {batch.writer!r} wrote is stored up to {known}, and this batch begins after {batch.after}: "
                    f"send what follows {known}."
                )
            value, is_nan = sanitized(batch.points.value)
            self._insert(connection, run_id, batch.points, value, is_nan)
            self._keep_latest(connection, run_id, latest(batch.points, value, is_nan))
            connection.execute(_NEXT, {**named, "sequence": batch.sequence})
            return batch.sequence

    def _insert(
        self, connection: Connection, run_id: str, points: Points, value: Sequence[float], is_nan: Sequence[int]
    ) -> None:
        if not points:
            return
        if self._is_sqlite:
            of = map(points.keys.__getitem__, points.key)
            whole = zip(repeat(run_id), of, value, points.timestamp, points.step, is_nan, strict=False)
            connection.exec_driver_sql(_INSERT, list(whole))
            return
        driver = cast(_Driver, connection.connection.driver_connection)
        run, *names = (driver.escape(name) for name in (run_id, *points.keys))
        rows = zip(map(names.__getitem__, points.key), value, points.timestamp, points.step, is_nan, strict=True)
        # Numbers are written as they are: the driver's own way with parameters would cost several times as much.
        listed = [f"({run},{k},{v!r},{t},{s},{n})" for k, v, t, s, n in rows]
        for first in range(0, len(listed), ROWS_A_STATEMENT):
            connection.exec_driver_sql(
                _INSERT_MANY + ",".join(listed[first : first + ROWS_A_STATEMENT]),
                execution_options={"no_parameters": True},
            )

    def _keep_latest(self, connection: Connection, run_id: str, latest: dict[str, Last]) -> None:
        """Bring latest_metrics up to date. As MLflow does it: rows are locked in order, the missing are inserted."""
        stored: dict[str, tuple[int, int, float]] = {}
        for first in range(0, len(latest), KEYS_A_QUERY):
            some = sorted(latest)[first : first + KEYS_A_QUERY]
            mine = _LATEST.c.run_uuid == run_id, _LATEST.c.key.in_(some)
            query = select(_LATEST.c.key, _LATEST.c.step, _LATEST.c.timestamp, _LATEST.c.value).where(*mine)
            query = query.order_by(_LATEST.c.run_uuid, _LATEST.c.key).with_for_update()
            stored |= {key: (step, timestamp, value) for key, step, timestamp, value in connection.execute(query)}
        if foreign := sorted(stored.keys() - latest.keys()):
            raise InvalidSpec(_same(foreign[0], sorted(latest)), "keys")
        new = {key: last for key, last in latest.items() if key not in stored}
        later = {key: last for key, last in latest.items() if key in stored and last.follows(stored[key])}
        if new:
            connection.execute(insert(_LATEST), [_row(run_id, key, last) for key, last in new.items()])
        if later:
            one = and_(_LATEST.c.run_uuid == bindparam("run"), _LATEST.c.key == bindparam("name"))
            change = update(_LATEST).where(one).values({name: bindparam(f"new_{name}") for name in _VALUES})
            connection.execute(
                change,
                [
                    {"run": run_id, "name": key} | {f"new_{name}": getattr(last, name) for name in _VALUES}
                    for key, last in later.items()
                ],
            )


_VALUES = ("step", "timestamp", "value", "is_nan")


def _row(run_id: str, key: str, last: Last) -> dict[str, str | int | float]:
    return {"run_uuid": run_id, "key": key} | {name: getattr(last, name) for name in _VALUES}


def sanitized(values: Sequence[float]) -> tuple[Sequence[float], Sequence[int]]:
    """Values as MLflow's tables have them, and which are NaN: there it is 0, and an infinity the largest number."""
    if all(map(math.isfinite, values)):
        return values, [0] * len(values)
    is_nan = [int(value != value) for value in values]
    return [0.0 if odd else max(-_LARGEST, min(_LARGEST, v)) for v, odd in zip(values, is_nan, strict=True)], is_nan


def latest(points: Points, value: Sequence[float], is_nan: Sequence[int]) -> dict[str, Last]:
    """The point of each metric that MLflow calls the latest: of the greatest step, then time, then value."""
    found: dict[int, tuple[int, int, float, int, int]] = {}
    ranked = zip(points.step, points.timestamp, value, range(0, -len(points), -1), is_nan, strict=True)
    if len(points.keys) == 1 and points:
        found[0] = max(ranked)
    else:
        for key, point in zip(points.key, ranked, strict=True):
            known = found.get(key)
            if known is None or point > known:
                found[key] = point
    return {points.keys[key]: Last(*point) for key, point in found.items()}


def _check_run(connection: Connection, run_id: str) -> None:
    """Raises what MLflow says of such runs."""
    stage = connection.scalar(_RUN, {"run": run_id})
    if stage is None:
        raise NotFound(f"Run with id={run_id} not found")
    if stage != "active":
        raise InvalidSpec(f"The run {run_id} must be in the 'active' state. Current state is {stage}.")


def _again(store: Callable[[], int], keys: Sequence[str]) -> int:
    """Store, once more where another transaction was in the way. Raises as `store`."""
    for tried in range(1, TRIES + 1):
        try:
            return store()
        except IntegrityError as failure:  # somebody else made a row first; or two of our names are one here
            if tried == TRIES:
                raise InvalidSpec(_same(*_alike(keys)), "keys") from failure
        except DatabaseUnavailable as failure:
            if tried == TRIES or not _is_transient(failure.__cause__):
                raise
        time.sleep(random.uniform(0, 0.05) * 2**tried)  # noqa: S311 (a pause)
    raise AssertionError


def _is_transient(failure: BaseException | None) -> bool:
    if not isinstance(failure, DBAPIError):
        return False
    number = next(iter(getattr(failure.orig, "args", ())), None)
    return number in (_DEADLOCK, _LOCK_TIMEOUT)


def _alike(keys: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A name, and the others that differ from it in the case of letters alone, as far as that can be told here."""
    for key in keys:
        others = [other for other in keys if other != key and other.casefold().strip() == key.casefold().strip()]
        if others:
            return key, others
    return keys[0] if keys else "", keys


def _same(key: str, others: Sequence[str]) -> str:
    close = [other for other in others if other.casefold().strip() == key.casefold().strip()] or list(others)
    return (
        f"{key!r} and {close[0]!r} are one name in this database, which does not tell upper from lower case: "
        "rename one of these metrics"
    )
