"""Metric histories condensed by the database: MLflow's own tables, on SQLite and MariaDB."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from submarine_ray.core.database import Database
from submarine_ray.tracking import curves
from submarine_ray.workbench.metric_lines import unfinished

pytestmark = pytest.mark.db

BEGAN = 1_700_000_000_000
INFINITY = 1.7976931348623157e308  # as MLflow stores it


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def tracking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """MLflow's tables, made by MLflow itself; seconds, so once for all tests."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine_with_retry

    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path_factory.mktemp('curves')}/mlflow.db")
    else:
        made = Database(request.getfixturevalue("mariadb").database(f"curves_{uuid.uuid4().hex[:12]}"))
    engine = create_sqlalchemy_engine_with_retry(made.url)
    _initialize_tables(engine)
    engine.dispose()
    with made.session(write=True) as session:
        session.execute(
            text("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (77, 'curves', 'active')")
        )
    yield made
    made.close()


@pytest.fixture
def one(tracking: Database) -> str:
    return new_run(tracking)


@pytest.fixture
def other(tracking: Database) -> str:
    return new_run(tracking)


def new_run(tracking: Database) -> str:
    run = uuid.uuid4().hex
    with tracking.session(write=True) as session:
        session.execute(
            text(
                "INSERT INTO runs (run_uuid, experiment_id, start_time, status, lifecycle_stage, source_type)"
                " VALUES (:run, 77, :began, 'RUNNING', 'active', 'LOCAL')"
            ),
            {"run": run, "began": BEGAN},
        )
    return run


def log(database: Database, run: str, key: str, values: list[float]) -> None:
    rows = [
        {
            "run": run, "key": key, "value": 0.0 if math.isnan(value) else value, "nan": math.isnan(value), "step": step,
            "at": BEGAN + 10 * step,
        }
        for step, value in enumerate(values)
    ]  # fmt: skip
    into = "(run_uuid, `key`, value, is_nan, step, timestamp) VALUES (:run, :key, :value, :nan, :step, :at)"
    with database.session(write=True) as session:
        session.execute(text(f"INSERT INTO metrics {into}"), rows)
        session.execute(text(f"INSERT INTO latest_metrics {into}"), rows[-1:])


def test_a_short_curve_has_every_point(tracking: Database, one: str, other: str) -> None:
    log(tracking, one, "loss", [3.0, math.nan, 1.0, INFINITY, 0.5])
    log(tracking, other, "loss", [9.0])
    found = curves.read(tracking, [one, other], ["loss", "nothing"])
    drawn = found[one, "loss"]
    assert drawn.steps == [0, 1, 2, 3, 4] and drawn.values == [3.0, None, 1.0, None, 0.5]
    assert drawn.is_whole and drawn.began == BEGAN
    assert found[other, "loss"].values == [9.0] and len(found) == 2
    by_time = curves.read(tracking, [one], ["loss"], "time")[one, "loss"]
    assert by_time.times == [BEGAN + 10 * step for step in range(5)]


@pytest.mark.parametrize("length", [10, 5_000, 30_000])
def test_nan_and_infinities_are_told_apart_in_curves_of_any_length(tracking: Database, one: str, length: int) -> None:
    # In a long curve, which is sampled, stretches of them.
    odd = {2: math.nan, 4: INFINITY, 6: -INFINITY}
    values = [odd.get(10 * step // length, 1.0) for step in range(length)]
    log(tracking, one, "loss", values)
    found = curves.read(tracking, [one], ["loss"])[one, "loss"]
    said = unfinished(found, "step")
    for kind, begin in (("NaN", 2), ("Infinity", 4), ("-Infinity", 6)):
        first = int(re.search(rf"(?:^|, ){kind} \(\d+ values?, first at step (\d+)\)", said)[1])  # type: ignore[index]
        assert abs(first - begin * length // 10) <= length // 500, said
    assert set(found.values) == {1.0, None}


def test_last_values_are_as_they_were_logged(tracking: Database, one: str) -> None:
    for key, value in (("down", -INFINITY), ("largest but one", 1e308), ("nan", math.nan), ("up", INFINITY)):
        log(tracking, one, key, [value])
    found = [last.value for last in curves.latest(tracking, [one])]
    assert [str(value) for value in found] == ["-inf", "1e+308", "nan", "inf"]


def test_a_middling_curve_keeps_mean_and_extremes(tracking: Database, one: str, other: str) -> None:
    log(tracking, one, "loss", [100.0 if step == 5000 else float(step % 2) for step in range(10_000)])
    found = curves.read(tracking, [one], ["loss"])[one, "loss"]
    assert len(found.steps) <= curves.STRETCHES + 2 and not found.is_whole
    assert max(filter(None, found.highs)) == 100 and 0.0 in found.lows
    assert 0.4 < (found.values[3] or 0) < 0.6
    assert (found.steps[-1], found.values[-1]) == (9_999, 1.0)  # the last value itself


@pytest.mark.parametrize("axis", ["step", "time"])
def test_a_long_curve_is_sampled(tracking: Database, one: str, other: str, axis: curves.Axis) -> None:
    log(tracking, one, "loss", [float(step) for step in range(30_000)])
    log(tracking, other, "loss", [-1.0] * 30_000)
    found = curves.read(tracking, [one], ["loss"], axis)[one, "loss"]
    assert curves.STRETCHES * 0.9 < len(found.steps) <= curves.MAX_POINTS
    assert found.values[0] == 0 and found.values[-1] == 29_999
    assert found.steps == sorted(found.steps) and found.times == sorted(found.times)


@pytest.mark.parametrize("length", [10_000, 100_000])
@pytest.mark.parametrize("axis", ["step", "time"])
def test_a_part_of_a_curve_has_finer_points(tracking: Database, one: str, axis: curves.Axis, length: int) -> None:
    log(tracking, one, "loss", [float(step) for step in range(length)])
    begin, end = (5_000, 5_400) if axis == "step" else (BEGAN + 50_000, BEGAN + 54_000)
    found = curves.read(tracking, [one], ["loss"], axis, (begin - 0.5, end + 0.5))[one, "loss"]
    assert [step for step in found.steps if 5_000 <= step <= 5_400] == list(range(5_000, 5_401))
    assert found.is_whole
    wide = curves.read(tracking, [one], ["loss"], axis, (begin, begin + (end - begin) * 10))[one, "loss"]
    assert curves.STRETCHES * 0.9 < len(wide.steps) <= curves.MAX_POINTS and wide.steps[0] == 5_000
    assert not curves.read(tracking, [one], ["loss"], axis, (-20, -10))


def test_marks_move_when_a_run_logs(tracking: Database, one: str, other: str) -> None:
    log(tracking, one, "loss", [1.0, 2.0])
    before = curves.marks(tracking, [one, other])
    assert set(before) == {one}
    log(tracking, one, "accuracy", [0.5])
    assert curves.marks(tracking, [one])[one] != before[one]
    before = curves.marks(tracking, [one, other])
    with tracking.session(write=True) as session:
        session.execute(text("INSERT INTO params (run_uuid, `key`, value) VALUES (:run, 'lr', '0.1')"), {"run": other})
    assert curves.marks(tracking, [one]) == {one: before[one]} and set(curves.marks(tracking, [other])) == {other}
    assert [(last.key, last.value) for last in curves.latest(tracking, [one])] == [("accuracy", 0.5), ("loss", 2.0)]
