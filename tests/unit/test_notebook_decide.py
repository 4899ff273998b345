"""Every transition of a notebook, as a table: what is wanted and what is seen in, the next step out."""

from __future__ import annotations

from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import RUNTIME_ENV_FAILURE, Job, JobState, Problem
from submarine_ray.notebooks.decide import (
    IDLE,
    IS_CREATING,
    MAX_RESTARTS,
    SHUT_DOWN,
    Desired,
    Forget,
    Note,
    Observed,
    Purge,
    ReadLog,
    Rest,
    Restart,
    Said,
    Step,
    StopJob,
    Submit,
    Wait,
    decide,
)
from submarine_ray.spec.endings import describe
from submarine_ray.spec.notebooks import NotebookStatus as Status

RUNNING = Job("nb", JobState.RUNNING, node_id="n1")
STUCK = Job("nb", JobState.PENDING, problem=Problem("Slow", "It waits (2 of 2)."))
ENDED = Job("nb", JobState.SUCCEEDED)
CRASHED = Job("nb", JobState.FAILED, exit_code=137, end_ms=0)


def desired(status: str = Status.CREATING, **more: Any) -> Desired:
    return Desired(status, "nb", **{"submitted_to": "head", **more})


def observed(*jobs: Job, **more: Any) -> Observed:
    found = {job.submission_id: job for job in jobs}
    return Observed(found, "head", frozenset({"n1"}), now_ms=1_000_000, **more)


@pytest.mark.parametrize(
    ("wanted", "shown", "step"),
    [
        (desired(submitted_to=None), observed(), Submit()),
        (desired(), observed(Job("nb", JobState.PENDING)), Wait()),
        (desired(reason=IS_CREATING), observed(Job("nb", JobState.PENDING)), Wait()),
        (desired(reason=IS_CREATING), observed(STUCK), Note(Status.CREATING, "It waits (2 of 2).")),
        (desired(reason="It waits (1 of 2)."), observed(STUCK), Wait()),
        (desired(reason="Another reason."), observed(STUCK), Note(Status.CREATING, "It waits (2 of 2).")),
        (desired(reason="Yet another."), observed(STUCK), Note(Status.CREATING, "It waits (2 of 2).")),
        (desired(reason="It waits (1 of 2)."), observed(Job("nb", JobState.PENDING)), Note(Status.CREATING, IS_CREATING)),
        (desired(), observed(RUNNING), ReadLog()),
        (desired(), observed(RUNNING, said=Said()), Wait()),
        (desired(), observed(RUNNING, said=Said("h:1")), Note(Status.RUNNING, "The notebook instance is running", "h:1")),
        (desired(Status.RUNNING), observed(RUNNING), Wait()),
        (desired(Status.RUNNING), observed(ENDED), ReadLog()),
        (desired(Status.RUNNING), observed(ENDED, said=Said(was_idle=True)), Note(Status.STOPPED, IDLE)),
        (desired(Status.RUNNING), observed(ENDED, said=Said()), Note(Status.STOPPED, SHUT_DOWN)),
        (desired(), observed(CRASHED), ReadLog()),
        (desired(), observed(CRASHED, said=Said()), Note(Status.FAILED, f"The command {describe(137)}.")),
        (desired(), observed(CRASHED, said=Said("h:1")), Restart(f"The command {describe(137)}. It starts again.", True)),
        (desired(Status.FAILED), observed(CRASHED), Rest()),
        (desired(Status.STOPPED, wanted="stop"), observed(), Rest()),
        (desired(Status.RUNNING, wanted="stop"), observed(RUNNING), StopJob("nb")),
        (desired(Status.TERMINATING, wanted="stop"), observed(), Note(Status.STOPPED, "The notebook instance is stopped")),
        (desired(Status.TERMINATING, wanted="delete"), observed(RUNNING), StopJob("nb")),
        (desired(Status.TERMINATING, wanted="delete"), observed(CRASHED), Purge(known=True)),
        (desired(Status.TERMINATING, wanted="delete"), observed(), Purge(known=False)),
        (desired(superseded=("old",)), observed(Job("old", JobState.RUNNING, node_id="n1")), StopJob("old")),
        (desired(superseded=("old",)), observed(), Forget("old", known=False)),
        (desired(Status.STOPPED, superseded=("old",)), observed(Job("old", JobState.FAILED, end_ms=999_500)), Wait()),
    ],
)  # fmt: skip
def test_the_next_step(wanted: Desired, shown: Observed, step: Step) -> None:
    assert decide(wanted, shown) == step


def test_a_crash_while_it_ran_starts_it_again_but_not_for_ever() -> None:
    assert decide(desired(Status.RUNNING), observed(CRASHED)) == Restart(
        f"The command {describe(137)}. It starts again.", counts=True
    )
    assert decide(desired(Status.RUNNING, failures=MAX_RESTARTS), observed(CRASHED)).status == Status.FAILED  # type: ignore[attr-defined]
    assert decide(desired(Status.RUNNING, failures=MAX_RESTARTS + 1), observed(CRASHED)).status == Status.FAILED  # type: ignore[attr-defined]
    broken = Job("nb", JobState.FAILED, error_type=RUNTIME_ENV_FAILURE, message="no such package")
    assert decide(desired(Status.RUNNING), observed(broken)) == Note(Status.FAILED, "no such package")


@pytest.mark.parametrize(
    "shown",
    [
        observed(),
        observed(Job("nb", JobState.FAILED, error_type="JOB_SUPERVISOR_ACTOR_DIED")),
        observed(Job("nb", JobState.RUNNING, node_id="gone")),
        Observed({"nb": Job("nb", JobState.PENDING)}, "another head", frozenset({"n1"})),
    ],
)
def test_what_the_cluster_loses_starts_again_and_is_not_the_notebooks_fault(shown: Observed) -> None:
    step = decide(desired(Status.RUNNING, failures=MAX_RESTARTS), shown)
    assert isinstance(step, Restart) and not step.counts


def test_a_record_that_settles_is_not_deleted_yet() -> None:
    lately = Job("nb", JobState.FAILED, end_ms=999_500)
    assert decide(desired(Status.TERMINATING, wanted="delete"), observed(lately)) == Wait()


def test_a_runner_has_said_nothing_until_it_says_it() -> None:
    assert Said() == Said(address=None, was_idle=False)
