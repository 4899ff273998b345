"""Trials whose metric became NaN or infinite: what Ray Tune compares, and who wins."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.runner.tune.sweep import Sweep
from submarine_ray.runner.tune.trial import LOGGED, SCORE, result
from submarine_ray.runner.tune.wishes import Wishes
from submarine_ray.spec.launch import Launch, Replica, Tune
from submarine_ray.spec.numbers import from_json, stored, to_json
from submarine_ray.workbench.parts import short

VALUES = [math.inf, 0.25, math.nan, 0.75, -math.inf]


def tune(mode: str, **more: Any) -> Tune:
    return Tune(metric="loss", mode=mode, search_space={}, num_samples=5, algorithm="random", **more)


def sweep(mode: str, **more: Any) -> Sweep:
    launch = Launch("e", "e", "sweep", "Python", (Replica("worker", 0, "x"),))
    asked = tune(mode, **more)
    return Sweep(launch, asked, Wishes(launch, asked), None)


def trials(values: list[float], mode: str) -> list[Any]:
    return [
        SimpleNamespace(
            trial_id=f"t{number}", status="TERMINATED", last_result=result({"loss": value}, tune(mode)), config={}
        )
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(("mode", "best"), [("min", 0.25), ("max", 0.75)])
def test_a_trial_that_diverged_never_wins(mode: str, best: float) -> None:
    one = sweep(mode)
    ranked = one.ranked(trials(VALUES, mode))
    assert [one.value(trial) for trial in ranked] == sorted([0.25, 0.75], reverse=mode == "max")
    assert one.value(one.best(trials(VALUES, mode))) == best
    assert one.best(trials([math.inf, math.nan, -math.inf], mode)) is None
    assert "every trial diverged: the last loss of each is NaN or infinite" in one.why_none(trials([math.inf], mode))


@pytest.mark.parametrize(("mode", "worst"), [("min", math.inf), ("max", -math.inf)])
def test_schedulers_and_searchers_see_the_worst(mode: str, worst: float) -> None:
    for value in (math.nan, math.inf, -math.inf):
        found = result({"loss": value, "other": math.inf}, tune(mode))
        assert found[SCORE] == worst
        assert str(found[f"{LOGGED}loss"]) == str(value), "what was logged stays as it is"
    assert result({"loss": 0.5}, tune(mode))[SCORE] == 0.5
    assert SCORE not in result({"other": 0.5}, tune(mode))


@pytest.mark.parametrize(("mode", "goal"), [("min", 0.5), ("max", 0.5)])
def test_a_goal_is_not_reached_by_diverging(mode: str, goal: float) -> None:
    rules = sweep(mode, stop={"metric": goal})._rules
    assert not any(rules.holds(result({"loss": value}, tune(mode))) for value in (math.nan, math.inf, -math.inf))
    assert rules.holds(result({"loss": goal}, tune(mode)))


def test_numbers_survive_json_and_mlflows_tables() -> None:
    for value, text in ((math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN"), (1.5, 1.5)):
        assert to_json(value) == text
        assert str(from_json(text)) == str(value)  # type: ignore[arg-type]
        assert short(value) == text
    assert (short(20261128.0), short(0.123456789), short(1e300), short(2.5e20)) == (20261128.0, 0.123457, 1e300, 2.5e20)
    assert to_json(None) is None and from_json(None) is None
    assert stored(1.7976931348623157e308) == math.inf and stored(-1.7976931348623157e308) == -math.inf
    assert stored(1e308) == 1e308
