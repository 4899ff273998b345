"""Points and runs in MLflow's tables on a real MariaDB: as MLflow leaves them, and with many writers at once."""

from __future__ import annotations

import math
import random
import sys
import threading
import uuid
from typing import Any

import pytest

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec.tags import EXPERIMENT_TAG
from submarine_ray.tracking.failures import translating
from submarine_ray.tracking.runs import NewRun, OwnRuns
from tests.conftest import MariaDb
from tests.unit.test_points import Row, Two, compare

pytestmark = pytest.mark.db

VALUES = [0.0, -0.0, 0.5, -1.0, math.nan, math.inf, -math.inf, sys.float_info.max, 5e-324, 1 / 3, 1e-7 / 3, 1e22 / 7]
STEPS = [0, 1, 2, -1, 2**63 - 1, -(2**63)]


@pytest.fixture(scope="module")
def two(mariadb: MariaDb) -> Two:
    return Two(mariadb.database("mlflow_points"))


def test_tables_are_as_mlflow_leaves_them(two: Two) -> None:
    drawn = random.Random(20)
    for _ in range(6):
        rows: list[Row] = [
            (drawn.choice(["loss", "acc/top 1"]), drawn.choice(VALUES), drawn.choice(STEPS), drawn.choice([0, 1, 2]))
            for _ in range(40)
        ]
        compare(two, [rows[:20], rows[20:30], rows[10:]])
    run = two.run()
    values = [drawn.random() * 10 ** drawn.randint(-20, 20) for _ in range(5000)]
    two.append(run, 1, [("exact", value, step, 1) for step, value in enumerate(values)])
    assert [m.value for m in two.client.get_metric_history(run, "exact")] == values


def test_what_is_sent_again_is_stored_once(two: Two) -> None:
    run = two.run()
    assert two.append(run, 10, [("loss", 1.0, 1, 1)], after=0) == 10
    assert two.append(run, 10, [("loss", 9.0, 9, 9)], after=0) == 10
    assert two.history(run, ["loss"]) == {"loss": ["1 1 1.0"]}


def test_many_writers_of_one_run_lose_and_double_nothing(two: Two) -> None:
    """MLflow's own among them; every batch is sent twice, at the same time by another connection."""
    run, failures = two.run(), []

    def write(writer: int) -> None:
        try:
            for number in range(1, 9):
                rows: list[Row] = [(f"m{n % 5}", float(writer), 100 * number + n, 1000 + writer) for n in range(50)]
                if writer < 6:
                    two.append(run, number, rows, writer=f"w{writer // 2}x")
                    two.append(run, number, rows, writer=f"w{writer // 2}x")
                else:
                    two.log(run, rows)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    found = two.history(run, [f"m{n}" for n in range(5)])
    assert all(len(set(of)) == len(of) for of in found.values())
    by_step = {int(line.split()[0]) for of in found.values() for line in of}
    assert by_step == {100 * number + n for number in range(1, 9) for n in range(50)}
    assert two.latest(run) == [f"m{n} {845 + n} 1007 7.0" for n in range(5)]


def test_names_that_this_database_takes_for_one_are_refused_and_named(two: Two) -> None:
    run = two.run()
    two.append(run, 1, [("loss", 1.0, 1, 1)])
    with pytest.raises(InvalidSpec, match="'loss' and 'Loss' are one name in this database"):
        two.append(run, 2, [("Loss", 2.0, 2, 2)])
    with pytest.raises(InvalidSpec, match="'acc' and 'Acc' are one name in this database"):
        two.append(run, 2, [("acc", 2.0, 2, 2), ("Acc", 2.0, 2, 2)])
    assert two.append(run, 2, [("acc", 2.0, 2, 2)]) == 2
    assert two.history(run, ["loss"]) == {"loss": ["1 1 1.0"]}


def test_services_that_make_a_run_at_the_same_moment_make_one(two: Two) -> None:
    new = NewRun(uuid.uuid4().hex, "made at once", "experiment-1", {EXPERIMENT_TAG: "experiment-1"})
    together = threading.Barrier(6)
    found: list[Any] = []

    def make() -> None:
        service = OwnRuns(translating(two.client), two.database)
        together.wait()
        try:
            found.append(service.open(new))
        except Exception as failure:
            found.append(failure)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (mlflow,) = {one.mlflow_experiment_id for one in found}
    assert {one.run_id for one in found} == {new.run_id} and not any(one.told for one in found)
    assert [run.info.run_id for run in two.client.search_runs([mlflow])] == [new.run_id]
    two.client.delete_experiment(mlflow)
    assert "had been deleted" in (OwnRuns(translating(two.client), two.database).open(new).told or "")
