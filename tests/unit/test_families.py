"""Which runs belong to which attempt of an experiment, and how a sweep's columns are told apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from submarine_ray.cli import trials
from submarine_ray.spec.tags import PARENT_TAG, SOURCE_TAG
from submarine_ray.tracking import families


def run(id: str, start: int, parent: str | None = None, source: str = "train.py") -> Any:
    tags = {SOURCE_TAG: source, **({PARENT_TAG: parent} if parent else {})}
    return SimpleNamespace(info=SimpleNamespace(run_id=id, start_time=start), data=SimpleNamespace(tags=tags))


def ids(found: list[Any]) -> list[str]:
    return [one.info.run_id for one in found]


def test_an_attempts_runs_are_those_below_its_own_and_those_that_began_while_it_was_the_last() -> None:
    found = [
        run("first", 1, source=families.OURS),
        run("worker", 2, "first"),
        run("nested", 3, "worker"),
        run("stray", 4),
        run("second", 5, source=families.OURS),
        run("late", 6, "first"),
        run("loop", 7, "loop"),
        run("other", 8, "unknown"),
    ]
    assert ids(families.of("first", found)) == ["first", "worker", "nested", "stray", "late"]
    assert ids(families.of("second", found)) == ["second", "loop", "other"]
    assert ids(families.of("first", found[:4])) == ids(found[:4])


def test_a_sweeps_trials_are_those_below_its_run() -> None:
    found = [run("a", 1, "first"), run("a-worker", 2, "a"), run("b", 3, "second"), run("b-worker", 4, "b"), run("c", 5)]
    assert ids(families.below("first", found)) == ["a", "a-worker", "c"]
    assert ids(families.below("second", found)) == ["b", "b-worker", "c"]


def test_a_parameter_and_a_metric_of_one_name_have_columns_that_say_which() -> None:
    trial = {"params": {"lr": 0.1, "kind": "a"}, "metrics": {"lr": 0.0, "loss": 1.0}}
    columns = trials.columns({"metric": "lr", "trials": [trial]})
    assert columns == ("#", "Trial", "Status", "lr", "kind", "lr (metric)", "loss", "Seconds")
