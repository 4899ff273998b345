"""Which parameters of a sweep matter, and the axes of its parallel coordinates."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from pydantic import JsonValue

from submarine_ray.spec.answers.experiments import SweepAttributes, Trial
from submarine_ray.workbench import charts, importance
from submarine_ray.workbench.trial_charts import Scored, _with_trials, log_axes


def trial(params: dict[str, JsonValue], metrics: dict[str, float], number: int = 1) -> Trial:
    return Trial(trial_id=f"t{number}", number=number, status="Succeeded", message=None, params=params, metrics=metrics,
                 checkpoint=None, model_version=None, run_id="r", started_time=None, finished_time=None, seconds=None)  # fmt: skip


def tried(count: int) -> list[Trial]:
    """The loss depends on the learning rate, with a best in the middle, and hardly on anything else."""
    source = random.Random(1)
    found = []
    for number in range(count):
        exponent = source.uniform(-5, -1)
        params: dict[str, JsonValue] = {"lr": 10**exponent, "width": source.choice([16, 64]), "same": 1,
                                        "optimizer": source.choice(["adam", "sgd"]), "dropout": source.random()}  # fmt: skip
        found.append(trial(params, {"loss": (exponent + 3) ** 2 + 0.01 * source.random()}, number))
    return found


def test_what_decides_a_metric_is_found_though_it_rises_and_falls() -> None:
    weights = importance.weigh(tried(100), "loss", "min")
    assert weights and weights.is_optuna and next(iter(weights.importance)) == "lr"
    assert weights.importance["lr"] > 0.6 and sum(weights.importance.values()) == pytest.approx(1)
    assert set(weights.importance) == {"lr", "width", "optimizer", "dropout"}  # "same" is the same in all
    assert set(weights.correlation) == {"lr", "width", "dropout"}  # words have no order
    assert abs(weights.correlation["lr"]) < 0.4


def test_without_optuna_the_correlation_is_the_importance(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("optuna", "optuna.importance"):
        monkeypatch.setitem(sys.modules, name, None)
    found = [trial({"lr": lr, "noise": noise}, {"loss": -lr}) for lr, noise in
             ((0.1, 3), (0.2, 1), (0.3, 2), (0.4, 3), (0.5, 1))]  # fmt: skip
    weights = importance.weigh(found, "loss", "min")
    assert weights and not weights.is_optuna and next(iter(weights.importance)) == "lr"
    assert weights.correlation["lr"] == pytest.approx(-1) and weights.importance["lr"] > 0.7


@pytest.mark.parametrize("found", [[], tried(3), [trial({"x": 1}, {"loss": 1.0})] * 9, [trial({}, {"loss": 1.0})] * 9])
def test_too_little_to_weigh(found: list[Trial]) -> None:
    assert importance.weigh(found, "loss", "min") is None


@pytest.mark.parametrize(
    "values", [[1, "a", None, True] * 2, [True, False] * 4, [[1], {"a": 1}] * 4, [1e300, -1e300] * 4]
)
def test_odd_values_are_weighed_too(values: list[Any]) -> None:
    found = [trial({"x": value}, {"loss": float(number)}, number) for number, value in enumerate(values)]
    weights = importance.weigh(found, "loss", "max")
    assert weights and list(weights.importance) == ["x"]


def scored(found: list[Trial]) -> Scored:
    return Scored.of(found, SweepAttributes(metric="loss", mode="min", total=9, best=None))


def drawn(found: list[Trial], asked: list[str] | None) -> tuple[list[str], list[str], dict[str, str]]:
    one = scored(found)
    made: Any = charts.parallel(one.axes, one.rows, [trial.metrics["loss"] for trial in one.trials])
    able, chosen = log_axes(made, asked)
    return able, chosen, {axis["name"]: axis["type"] for axis in made["parallelAxis"]}


def test_axes_are_logarithmic_by_their_spread_or_by_hand() -> None:
    found = tried(30)
    able, chosen, types = drawn(found, None)
    assert "lr" in chosen and types["lr"] == "log" and types["width"] == "value" and types["optimizer"] == "category"
    assert set(able) == {"dropout", "lr", "same", "width", "loss"}
    assert drawn(found, ["width"])[1] == ["width"] and drawn(found, [])[1] == []
    assert drawn(found, ["optimizer", "unknown"])[1] == []


def test_a_parameter_that_some_trials_lack_is_a_gap() -> None:
    found = [trial({"lr": 0.1}, {"loss": 1.0}), trial({"lr": 0.2, "momentum": 0.9}, {"loss": 2.0}, 2)]
    one = scored(found)
    made: Any = charts.parallel(one.axes, one.rows, [1.0, 2.0])
    assert [axis["type"] for axis in made["parallelAxis"]] == ["value", "value", "value"]
    assert [row[1] for row in made["series"][0]["data"]] == [None, 0.9]


def test_each_line_leads_to_its_trial_and_the_best_stands_out() -> None:
    one = scored([trial({"lr": 0.1}, {"loss": 1.0}), trial({"lr": 0.2}, {"loss": 2.0}, 2)])
    made: Any = _with_trials(charts.parallel(one.axes, one.rows, [1.0, 2.0]), one, lambda trial: f"/{trial.trial_id}")
    first, second = made["series"][0]["data"]
    assert (first["href"], second["href"]) == ("/t1", "/t2") and second["name"] == "#2 lr=0.2: loss 2.0"
    assert first["lineStyle"]["width"] > 3 and "lineStyle" not in second
