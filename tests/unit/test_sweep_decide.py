"""What becomes of requests to stop a trial and to extend a sweep: every state of both, and sequences of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from submarine_ray.clusters.drivers.base import Job, JobState
from submarine_ray.experiments import decide, sweep_decide
from submarine_ray.experiments.sweep_decide import GoOn, Refuse, Sweep, TellDriver
from submarine_ray.spec.answers.sweeps import SweepWishes
from submarine_ray.spec.tune import MAX_TRIALS, TuneSpec

GRID = {"x": {"type": "grid", "values": [1, 2, 3]}}
RANDOM = {"x": {"type": "uniform", "low": 0, "high": 1}}


def sweep(status: str = "Running", wanted: str = "run", **tune: Any) -> Sweep:
    said = {"searchSpace": RANDOM, "metric": "loss", "mode": "min", "numSamples": 10} | tune
    return Sweep("e", status, wanted, TuneSpec.model_validate(said))


@pytest.mark.parametrize(
    ("given", "trial", "said"),
    [
        (Sweep("e", "Running", "run", None), None, "e is not a sweep: its spec has no tune."),
        (sweep(), None, "e has no trial 't'."),
        (sweep(), "Succeeded", "Trial t of e has ended already (Succeeded)."),
        (sweep(), "Failed", "Trial t of e has ended already (Failed)."),
        (sweep("Failed"), "Running", "e has ended already (Failed), with all its trials."),
        (sweep(wanted="stop"), "Running", "e is being stopped, with all its trials."),
    ],
)
def test_a_trial_that_cannot_be_stopped(given: Sweep, trial: str | None, said: str) -> None:
    step = sweep_decide.stop(given, "t", trial)
    assert isinstance(step, Refuse) and step.message == said


@pytest.mark.parametrize("status", ["Accepted", "Created", "Running"])
def test_a_trial_that_runs_is_stopped(status: str) -> None:
    """Accepted: the driver was lost, and the next attempt is about to begin."""
    assert sweep_decide.stop(sweep(status), "t", "Running") == TellDriver(10)


@pytest.mark.parametrize(
    ("given", "samples", "said"),
    [
        (Sweep("e", "Running", "run", None), 1, "e is not a sweep: its spec has no tune."),
        (sweep(algorithm="grid", searchSpace=GRID, numSamples=1), 1,
         "e is a grid search over 3 combinations, and has no more samples. "
         "To try other values, rerun it with more values, or with another algorithm."),
        (sweep(), MAX_TRIALS - 9, "e has 10 samples; at most 9990 can be added (10000 in all)"),
        (sweep(wanted="stop"), 1, "e is being stopped; extend it once it has ended."),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be_extended(given: Sweep, samples: int, said: str) -> None:
    step = sweep_decide.extend(given, samples)
    assert isinstance(step, Refuse) and step.message == said


@pytest.mark.parametrize(
    ("given", "step"),
    [
        (sweep("Accepted"), TellDriver(15)),
        (sweep("Created"), TellDriver(15)),
        (sweep("Running"), TellDriver(15)),
        (sweep("Succeeded"), GoOn(15)),
        (sweep("Failed"), GoOn(15)),
        (sweep("Failed", wanted="stop"), GoOn(15)),  # a user had stopped it as a whole
        (sweep("Running", searchSpace=GRID), TellDriver(15)),  # five more for each value
    ],
)
def test_a_sweep_is_extended(given: Sweep, step: object) -> None:
    assert sweep_decide.extend(given, 5) == step


def test_each_wish_is_another_version() -> None:
    versions = [
        SweepWishes.of(10, []),
        SweepWishes.of(11, []),
        SweepWishes.of(11, ["a"]),
        SweepWishes.of(11, ["a", "b"]),
    ]
    assert len({one.version for one in versions}) == len(versions)


class Extending(RuleBasedStateMachine):
    """A user, the service and a driver, in any order: what was asked for is tried before the sweep stays ended.

    The driver hears late, tells late, and may die at any time. `unheard` is the row's column.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status, self.wanted, self.unheard = "Running", 10, None
        self.heard = self.taken_up = self.made = self.told = 10
        self.job = JobState.RUNNING

    @precondition(lambda self: self.wanted < 100)
    @rule(samples=st.integers(1, 5))
    def extend(self, samples: int) -> None:
        step = sweep_decide.extend(sweep(self.status, numSamples=self.wanted), samples)
        assert isinstance(step, TellDriver | GoOn)
        self.wanted = self.unheard = step.num_samples
        if isinstance(step, GoOn):
            self.begin()

    def begin(self) -> None:
        """An attempt is given what is wanted now, and goes on with what was made."""
        self.status, self.job = "Running", JobState.RUNNING
        self.heard = self.taken_up = self.wanted
        self.told = 0

    @precondition(lambda self: self.job is JobState.RUNNING)
    @rule()
    def ask(self) -> None:
        self.told = self.taken_up
        if self.unheard is not None and self.told >= self.unheard:
            self.unheard = None
        self.heard = self.wanted

    @precondition(lambda self: self.job is JobState.RUNNING)
    @rule()
    def step(self) -> None:
        self.taken_up = self.heard
        self.made = max(self.made, self.taken_up)

    @precondition(lambda self: self.job is JobState.RUNNING and self.made >= self.taken_up)
    @rule()
    def end(self) -> None:
        """The last question is asked before the job ends; it may not be answered."""
        if self.told != self.taken_up:
            self.ask()
        self.job = JobState.SUCCEEDED

    @precondition(lambda self: self.job is not JobState.RUNNING and self.status == "Running")
    @rule()
    def observe(self) -> None:
        given = decide.Desired(self.status, "e", is_extended=self.unheard is not None)
        step = decide.decide(given, decide.Observed({"e": Job("e", self.job)}, "a"))
        if isinstance(step, decide.GoOn):
            self.begin()
        else:
            assert isinstance(step, decide.Observe)
            self.status = step.status

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.status == "Running" or self.made >= self.wanted


Extending.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestExtending = Extending.TestCase


def test_an_extension_that_no_driver_heard_begins_an_attempt() -> None:
    def step(**given: Any) -> decide.Step:
        job = Job("e", JobState(given.pop("job", "SUCCEEDED")))
        return decide.decide(decide.Desired("Running", "e", **given), decide.Observed({"e": job}, "a"))

    assert step(is_extended=True) == decide.GoOn()
    assert isinstance(step(), decide.Observe)
    assert isinstance(step(is_extended=True, wanted="stop"), decide.Observe)
    assert isinstance(step(is_extended=True, job="FAILED"), decide.Observe)  # its own reason is told
