"""From a sweep's words to Ray Tune's objects. No cluster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.tune import Experiment, schedulers

from submarine_ray.runner.tune import search
from submarine_ray.runner.tune import sweep as sweep_module
from submarine_ray.runner.tune.sweep import Sweep
from submarine_ray.runner.tune.trial import SCORE, longest
from submarine_ray.runner.tune.wishes import Wishes
from submarine_ray.spec.launch import Launch, Replica, Tune
from submarine_ray.spec.space import samples

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
    made = search.algorithm(sweep(algorithm=algorithm, search_space=SPACE | optimizer, num_samples=7))
    searcher = made.searcher.searcher
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


@pytest.fixture
def following() -> Iterator[Callable[[Tune], Sweep]]:
    """Makes a sweep this process's own."""

    def follow(asked: Tune) -> Sweep:
        launch = Launch("e", "e", "sweep", "Python", (Replica("worker", 0, "x"),))
        found = Sweep(launch, asked, Wishes(launch, asked), None)
        sweep_module.follow(found)
        return found

    yield follow
    sweep_module._current = None


def taken(source: Any, most: int = 100) -> list[Any]:
    """The trials that a source gives until it has no more for now."""
    found = []
    while len(found) < most and not source.is_finished() and (trial := source.next_trial()):
        found.append(trial)
    return found


@pytest.mark.parametrize("algorithm", ["random", "tpe"])
def test_a_sweep_that_was_finished_grows_by_what_it_is_extended(
    algorithm: str, following: Callable[[Tune], Sweep], tmp_path: Path
) -> None:
    asked = sweep(algorithm=algorithm, num_samples=3, max_concurrent=50)
    wishes = following(asked).wishes
    source = begun(search.algorithm(asked), tmp_path)
    first = taken(source)
    assert len(first) == 3 and source.is_finished()
    wishes.samples = 5
    assert not source.is_finished() and wishes._taken_up == 3
    more = taken(source)
    assert len(more) == 2 and source.is_finished() and wishes._taken_up == 5
    assert len({trial.trial_id for trial in first + more}) == 5


def test_one_that_resumes_knows_what_it_has_drawn_and_where_it_was(
    following: Callable[[Tune], Sweep], tmp_path: Path
) -> None:
    asked = sweep(num_samples=3, max_concurrent=2, seed=None)
    following(asked)
    source = begun(search.algorithm(asked), tmp_path)
    first = taken(source)
    assert len(first) == 2  # as many as may run at once
    for trial in first:
        source.on_trial_complete(trial.trial_id)
    first += taken(source)
    source.set_finished()  # its time budget was over
    source.save_to_dir(str(tmp_path), "1")
    longer = replace(asked, num_samples=6, max_concurrent=10)
    following(longer)
    again = search.algorithm(asked)
    again.restore_from_dir(str(tmp_path))
    more = taken(again)
    assert len(more) == 3 and [trial.trial_id[-5:] for trial in more] == ["00003", "00004", "00005"]
    drawn = samples(SPACE, 6, again._seed, False)
    assert [trial.config["params"] for trial in first + more] == drawn


def begun(source: Any, directory: Path) -> Any:
    """A source of trials as Ray Tune begins it."""
    experiment = Experiment("e", run=lambda config: None, storage_path=str(directory))
    source.add_configurations([experiment])
    return source


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
