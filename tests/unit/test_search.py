"""From a sweep's words to Ray Tune's objects. No cluster."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ray.tune import schedulers

from submarine_ray.runner.tune import search
from submarine_ray.runner.tune.trial import SCORE, longest
from submarine_ray.spec.launch import Tune

SPACE: dict[str, Any] = {
    "lr": {"type": "loguniform", "low": 1e-4, "high": 0.1},
    "layers": {"type": "randint", "low": 1, "high": 4},
    "drop": {"type": "quniform", "low": 0.0, "high": 0.5, "q": 0.25},
    "bias": {"type": "normal", "mean": 0.0, "sd": 1.0},
}
OPTIMIZER: dict[str, Any] = {
    "type": "choice",
    "values": [{"name": "sgd", "momentum": {"type": "uniform", "low": 0.5, "high": 0.9}}, {"name": "adam"}],
}


def sweep(**more: Any) -> Tune:
    return Tune(**{"search_space": SPACE, "metric": "loss", "mode": "min", "seed": 3} | more)


@pytest.mark.parametrize("algorithm", ["tpe", "cma-es", "bayesian"])
def test_learning_algorithms_draw_from_the_space_and_learn(algorithm: str) -> None:
    optimizer = {} if algorithm == "cma-es" else {"optimizer": OPTIMIZER}
    space, searcher, count = search.parameters(
        sweep(algorithm=algorithm, search_space=SPACE | optimizer, num_samples=7)
    )
    assert space == {} and count == 7
    names = set()
    for number in range(12):
        params = searcher.suggest(f"trial-{number}")["params"]
        assert 1e-4 <= params["lr"] <= 0.1 and params["layers"] in (1, 2, 3) and params["drop"] in (0.0, 0.25, 0.5)
        if optimizer:
            names.add(params["optimizer"]["name"])
            assert ("momentum" in params["optimizer"]) == (params["optimizer"]["name"] == "sgd")
        score = math.inf if number % 4 == 1 else params["lr"]  # some trials diverge
        result = {SCORE: score, "training_iteration": 1}
        searcher.on_trial_result(f"trial-{number}", result)
        searcher.on_trial_complete(f"trial-{number}", result)
    assert names == ({"sgd", "adam"} if optimizer else set())


def test_what_learns_nothing_is_drawn_before_the_sweep() -> None:
    space, searcher, count = search.parameters(sweep(num_samples=5))
    assert searcher is None and count == 1 and len(space["params"]["grid_search"]) == 5


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({}, schedulers.FIFOScheduler),
        ({"type": "asha"}, schedulers.ASHAScheduler),
        ({"type": "hyperband"}, schedulers.HyperBandScheduler),
        ({"type": "median-stopping"}, schedulers.MedianStoppingRule),
        ({"type": "pbt"}, schedulers.PopulationBasedTraining),
    ],
)
def test_each_scheduler_is_made(asked: dict[str, Any], kind: type) -> None:
    assert type(search.scheduler(sweep(scheduler=asked))) is kind


def test_what_pbt_changes_stays_in_the_space() -> None:
    config = {"params": {"lr": 3.0, "layers": 9, "drop": -1.0, "bias": 7.0}}
    assert search._inside(SPACE, config)["params"] == {"lr": 0.1, "layers": 3, "drop": 0.0, "bias": 7.0}


def test_the_last_iteration_is_the_smallest_that_is_asked_for() -> None:
    assert longest(sweep()) == float("inf")
    assert longest(sweep(scheduler={"type": "asha"})) == 100
    assert longest(sweep(scheduler={"type": "asha", "max_iterations": 9}, stop={"iterations": 5})) == 5
