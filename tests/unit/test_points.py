"""Points in MLflow's tables: what our bulk insert leaves is what MLflow's log_batch leaves.

tests/db/test_points.py runs the same comparison on a real MariaDB.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, InvalidSpec, NotFound
from submarine_ray.spec.spool.batches import Batch, Points
from submarine_ray.tracking.points import MetricPoints

Row = tuple[str, float, int, int]  # key, value, step, timestamp


class Two:
    """MLflow's store, and ours on the same tables: a run that each of them fills, and what is found in it."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.database.is_up()  # makes a SQLite file with our settings
        self.mlflow = SqlAlchemyStore(url, "./artifacts")
        self.points = MetricPoints(self.database)
        self.points.prepare()
        self.experiment = self.mlflow.create_experiment("test")
        self.client = MlflowClient(url)

    def run(self) -> str:
        return str(self.mlflow.create_run(self.experiment, "user", 0, [], "run").info.run_id)

    def log(self, run: str, rows: Sequence[Row]) -> None:
        self.mlflow.log_batch(run, [Metric(key, value, at, step) for key, value, step, at in rows], [], [])

    def append(self, run: str, sequence: int, rows: Sequence[Row], writer: str = "w", after: int | None = None) -> int:
        return self.points.append(run, Batch(writer, after, sequence, Points.of(rows)))

    def history(self, run: str, keys: Sequence[str]) -> dict[str, list[str]]:
        """As MLflow's client answers it; rows have no order of their own where step and time are the same."""
        found = {key: self.client.get_metric_history(run, key) for key in keys}
        return {key: sorted(f"{m.step} {m.timestamp} {m.value!r}" for m in of) for key, of in found.items()}

    def latest(self, run: str) -> list[str]:
        found = self.client.get_run(run).data._metric_objs
        return sorted(f"{m.key} {m.step} {m.timestamp} {m.value!r}" for m in found)

    def searched(self, run: str, key: str, bound: float) -> list[bool]:
        filters = [f"metrics.`{key}` {sign} {bound}" for sign in ("<", "<=", "=", "!=", ">=", ">")]
        return [run in {r.info.run_id for r in self.client.search_runs([self.experiment], f)} for f in filters]


def compare(two: Two, batches: Sequence[Sequence[Row]]) -> None:
    theirs, ours = two.run(), two.run()
    for number, rows in enumerate(batches, start=1):
        two.log(theirs, rows)
        assert two.append(ours, number, rows) == number
    keys = sorted({row[0] for rows in batches for row in rows})
    assert two.history(ours, keys) == two.history(theirs, keys)
    assert two.latest(ours) == two.latest(theirs)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    return Two(f"sqlite:///{tmp_path_factory.mktemp('points')}/mlflow.db")


# Few of each, so that they meet: ties of step and time, duplicates within a batch and against what is stored.
VALUES = st.sampled_from([0.0, -0.0, 0.5, -1.0, math.nan, math.inf, -math.inf, sys.float_info.max, 5e-324, 1 / 3])
STEPS = st.sampled_from([0, 1, 2, -1, 2**63 - 1, -(2**63)])
TIMES = st.sampled_from([0, 1, 1_790_000_000_000, 2**63 - 1])
ROWS = st.lists(st.tuples(st.sampled_from(["loss", "acc/top 1", "a.b-c:d"]), VALUES, STEPS, TIMES), max_size=12)
BATCHES = st.lists(ROWS, min_size=1, max_size=3)


@given(batches=BATCHES)
@settings(max_examples=15)
def test_tables_are_as_mlflow_leaves_them(two: Two, batches: list[list[Row]]) -> None:
    compare(two, batches)


@given(first=ROWS, second=ROWS)
@settings(max_examples=6)
def test_mlflows_own_writers_and_ours_meet_in_one_run(two: Two, first: list[Row], second: list[Row]) -> None:
    theirs, ours = two.run(), two.run()
    two.log(theirs, first), two.log(theirs, second), two.log(theirs, first)
    two.log(ours, first), two.append(ours, 1, second), two.log(ours, first)
    keys = sorted({row[0] for row in [*first, *second]})
    assert (two.history(ours, keys), two.latest(ours)) == (two.history(theirs, keys), two.latest(theirs))


def test_searches_find_the_same_runs(two: Two) -> None:
    rows: list[Row] = [("nan", math.nan, 1, 1), ("up", math.inf, 1, 1), ("loss", 0.5, 1, 1), ("loss", -1.0, 0, 9)]
    theirs, ours = two.run(), two.run()
    two.log(theirs, rows), two.append(ours, 1, rows)
    for key in ("nan", "up", "loss"):
        assert two.searched(ours, key, 0.5) == two.searched(theirs, key, 0.5), key


def test_many_points_are_all_there_and_exact(two: Two) -> None:
    run = two.run()
    rows = [(f"m{i % 7}", i / 7, i, 1_790_000_000_000 + i) for i in range(9_000)]
    two.append(run, 1, rows)
    for key in ("m0", "m6"):
        found = [(m.key, m.value, m.step, m.timestamp) for m in two.client.get_metric_history(run, key)]
        assert sorted(found, key=lambda row: row[2]) == [row for row in rows if row[0] == key]


def test_what_is_sent_again_is_stored_once(two: Two) -> None:
    run = two.run()
    assert two.points.stored(run, "w") == 0
    assert two.append(run, 10, [("loss", 1.0, 1, 1)]) == 10
    assert two.append(run, 10, [("loss", 9.0, 9, 9)]) == 10  # the number says that it is stored, whatever is in it
    assert two.append(run, 3, [("loss", 9.0, 9, 9)]) == 10
    assert two.append(run, 1, [("loss", 2.0, 2, 2)], writer="other") == 1
    assert two.history(run, ["loss"]) == {"loss": ["1 1 1.0", "2 2 2.0"]}
    assert (two.points.stored(run, "w"), two.points.stored(run, "other")) == (10, 1)


def test_a_gap_is_refused_and_says_where_to_go_on(two: Two) -> None:
    run = two.run()
    two.append(run, 10, [("loss", 1.0, 1, 1)], after=0)
    for after in (0, 5, 11):
        with pytest.raises(Conflict, match=r"stored up to 10.*send what follows 10"):
            two.append(run, 20, [("loss", 2.0, 2, 2)], after=after)
    assert two.append(run, 20, [("loss", 2.0, 2, 2)], after=10) == 20


def test_what_fails_leaves_nothing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The points and the sequence number are one transaction."""
    run = two.run()
    monkeypatch.setattr(MetricPoints, "_keep_latest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        two.append(run, 1, [("loss", 1.0, 1, 1)])
    monkeypatch.undo()
    assert two.points.stored(run, "w") == 0 and two.history(run, ["loss"]) == {"loss": []}


def test_runs_that_take_nothing_are_answered_as_by_mlflow(two: Two) -> None:
    rows: list[Row] = [("loss", 1.0, 1, 1)]
    deleted, finished = two.run(), two.run()
    two.mlflow.delete_run(deleted)
    two.client.set_terminated(finished)
    for run, kind in (("0" * 32, NotFound), (deleted, InvalidSpec)):
        with pytest.raises(MlflowException) as theirs:
            two.log(run, rows)
        with pytest.raises(kind) as ours:
            two.append(run, 1, rows)
        assert str(ours.value) == theirs.value.message
    two.append(finished, 1, rows)  # MLflow takes what comes late
    assert two.history(finished, ["loss"]) == {"loss": ["1 1 1.0"]}


def test_mlflows_upgrade_leaves_the_table_of_writers_alone(tmp_path: Path) -> None:
    from mlflow.store.db.utils import _upgrade_db

    two = Two(f"sqlite:///{tmp_path}/mlflow.db")
    run = two.run()
    two.append(run, 7, [("loss", 1.0, 1, 1)])
    _upgrade_db(two.mlflow.engine)
    again = Two.__new__(Two)
    with contextlib.suppress(MlflowException):  # the experiment's name is taken
        again.__init__(f"sqlite:///{tmp_path}/mlflow.db")  # type: ignore[misc]
    assert again.points.stored(run, "w") == 7


def test_the_latest_is_told_from_ties_by_who_came_first(two: Two) -> None:
    nan_first: list[Any] = [("loss", math.nan, 1, 1), ("loss", 0.0, 1, 1)]
    for rows in (nan_first, nan_first[::-1]):
        compare(two, [rows])
        compare(two, [[row] for row in rows])
