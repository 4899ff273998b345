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
    Forget,
    Observe,
    Purge,
    Queue,
    Rest,
    Restart,
    Seen,
    Step,
    StopJob,
    Submit,
    Wait,
    Wish,
    decide,
)
from submarine_ray.spec.endings import describe
from submarine_ray.spec.notebooks import NotebookStatus as Status

RUNNING = Job("nb", JobState.RUNNING, node_id="n1")
STUCK = Job("nb", JobState.PENDING, problem=Problem("Slow", "It waits (2 of 2)."))
CRASHED = Job("nb", JobState.FAILED, exit_code=137, end_ms=0)


def wish(status: str = Status.CREATING, **more: Any) -> Wish:
    return Wish(status, "nb", **{"submitted_to": "head", **more})


def seen(*jobs: Job, **more: Any) -> Seen:
    found = {job.submission_id: job for job in jobs}
    return Seen(found, "head", frozenset({"n1"}), now_ms=1_000_000, **more)


@pytest.mark.parametrize(
    ("wanted", "shown", "step"),
    [
        (wish(submitted_to=None), seen(), Submit()),
        (wish(submitted_to=None), seen(has_room=False), Queue()),
        (wish(), seen(Job("nb", JobState.PENDING)), Wait()),
        (wish(reason=IS_CREATING), seen(Job("nb", JobState.PENDING)), Wait()),
        (wish(reason=IS_CREATING), seen(STUCK), Observe(Status.CREATING, "It waits (2 of 2).")),
        (wish(reason="It waits (1 of 2)."), seen(STUCK), Wait()),
        (wish(reason="It waits (1 of 2)."), seen(Job("nb", JobState.PENDING)), Observe(Status.CREATING, IS_CREATING)),
        (wish(), seen(RUNNING), Wait()),
        (wish(), seen(RUNNING, address="h:1"), Observe(Status.RUNNING, "The notebook instance is running")),
        (wish(Status.RUNNING), seen(RUNNING), Wait()),
        (wish(Status.RUNNING), seen(Job("nb", JobState.SUCCEEDED), was_idle=True), Observe(Status.STOPPED, IDLE)),
        (wish(Status.RUNNING), seen(Job("nb", JobState.SUCCEEDED)), Observe(Status.STOPPED, SHUT_DOWN)),
        (wish(), seen(CRASHED), Observe(Status.FAILED, f"The command {describe(137)}.")),
        (wish(Status.FAILED), seen(CRASHED), Rest()),
        (wish(Status.STOPPED, wanted="stop"), seen(), Rest()),
        (wish(Status.RUNNING, wanted="stop"), seen(RUNNING), StopJob("nb")),
        (wish(Status.TERMINATING, wanted="stop"), seen(), Observe(Status.STOPPED, "The notebook instance is stopped")),
        (wish(Status.TERMINATING, wanted="delete"), seen(RUNNING), StopJob("nb")),
        (wish(Status.TERMINATING, wanted="delete"), seen(CRASHED), Purge(known=True)),
        (wish(Status.TERMINATING, wanted="delete"), seen(), Purge(known=False)),
        (wish(superseded=("old",)), seen(Job("old", JobState.RUNNING, node_id="n1")), StopJob("old")),
        (wish(superseded=("old",)), seen(), Forget("old", known=False)),
        (wish(Status.STOPPED, superseded=("old",)), seen(Job("old", JobState.FAILED, end_ms=999_500)), Wait()),
    ],
)  # fmt: skip
def test_the_next_step(wanted: Wish, shown: Seen, step: Step) -> None:
    assert decide(wanted, shown) == step


def test_a_crash_while_it_ran_starts_it_again_but_not_for_ever() -> None:
    assert decide(wish(Status.RUNNING), seen(CRASHED)) == Restart(
        f"The command {describe(137)}. It starts again.", counts=True
    )
    assert decide(wish(Status.RUNNING, failures=MAX_RESTARTS), seen(CRASHED)).status == Status.FAILED  # type: ignore[attr-defined]
    broken = Job("nb", JobState.FAILED, error_type=RUNTIME_ENV_FAILURE, message="no such package")
    assert decide(wish(Status.RUNNING), seen(broken)) == Observe(Status.FAILED, "no such package")


@pytest.mark.parametrize(
    "shown",
    [
        seen(),
        seen(Job("nb", JobState.FAILED, error_type="JOB_SUPERVISOR_ACTOR_DIED")),
        seen(Job("nb", JobState.RUNNING, node_id="gone")),
        Seen({"nb": Job("nb", JobState.PENDING)}, "another head", frozenset({"n1"})),
    ],
)
def test_what_the_cluster_loses_starts_again_and_is_not_the_notebooks_fault(shown: Seen) -> None:
    step = decide(wish(Status.RUNNING, failures=MAX_RESTARTS), shown)
    assert isinstance(step, Restart) and not step.counts


def test_a_record_that_settles_is_not_deleted_yet() -> None:
    lately = Job("nb", JobState.FAILED, end_ms=999_500)
    assert decide(wish(Status.TERMINATING, wanted="delete"), seen(lately)) == Wait()
