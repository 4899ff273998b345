"""Every transition of an experiment's life, as a table."""

from __future__ import annotations

import pytest

from submarine_ray.clusters.drivers.base import Job, JobState, Problem
from submarine_ray.clusters.launches import SPENT
from submarine_ray.experiments.decide import (
    LOST,
    Archive,
    Close,
    Discard,
    Observe,
    Purge,
    Queue,
    Retry,
    Seen,
    Settle,
    StopJob,
    Submit,
    Tell,
    Wait,
    Wish,
    decide,
)

ID = "experiment-1-0001"


SLOW = Problem("Slow", "It waits (2 of 2).")
AGAIN = Problem("Slow", "It waits (2 of 2).", mark="second time")


def seen(state: str | None, has_room: bool = True, incarnation: str = "a", now_ms: int = 0, **job: object) -> Seen:
    jobs = {ID: Job(ID, JobState(state), **job)} if state else {}  # type: ignore[arg-type]
    return Seen(jobs, incarnation, units=int(has_room), now_ms=now_ms)


def wish(status: str, **fields: object) -> Wish:
    return Wish(status, ID, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "cluster", "step"),
    [
        (wish("Accepted"), seen(None), Submit()),
        (wish("Accepted"), seen(None, has_room=False), Queue()),
        (wish("Created", incarnation="a"), seen("PENDING"), Wait()),
        (wish("Running"), seen("RUNNING"), Wait()),
        (wish("Created"), seen("PENDING", problem=SLOW), Tell(SLOW)),
        (wish("Created", told="It waits (1 of 2)."), seen("PENDING", problem=SLOW), Wait()),
        (wish("Created", told="It waits (1 of 2)."), seen("PENDING"), Tell(None)),
        (wish("Created", told="It waits (1 of 2).", mark="first time"), seen("PENDING", problem=AGAIN), Tell(AGAIN)),
        (wish("Created", told="It waits (1 of 2).", mark="second time"), seen("PENDING", problem=AGAIN), Wait()),
        (
            wish("Created", told="It waits (1 of 2)."),
            seen("PENDING", problem=AGAIN),
            Wait(),
        ),  # nobody knows which time it is
        (wish("Created", told="It waits (1 of 2).", mark="first time"), seen("PENDING", problem=SLOW), Wait()),
        (wish("Running"), seen("RUNNING", problem=SLOW), Tell(SLOW)),
        (wish("Running", running_ms=5_000), seen("RUNNING", start_ms=65_000), Wait()),  # clocks differ
        (wish("Running", deadline_ms=5), seen("RUNNING", now_ms=4), Wait()),
        (wish("Running", deadline_ms=5), seen("RUNNING", now_ms=5), StopJob(ID)),
        (wish("Running"), seen("RUNNING", error_type="DEADLINE_EXCEEDED"), StopJob(ID)),
        (wish("Succeeded"), seen("SUCCEEDED"), Archive()),
        (wish("Succeeded", archived=True), seen("SUCCEEDED"), Close(known=True)),
        (wish("Succeeded", archived=True), seen(None), Close(known=False)),
        (wish("Failed"), seen(None), Close(known=False)),
        (wish("Deleted", wanted="delete"), seen("RUNNING"), StopJob(ID)),
        (wish("Deleted", wanted="delete"), seen("STOPPED"), Purge(known=True)),
        (wish("Deleted", wanted="delete"), seen(None), Purge(known=False)),
        (wish("Running", wanted="stop"), seen("RUNNING"), StopJob(ID)),
        (wish("Failed", wanted="stop", incarnation="a"), seen("PENDING"), StopJob(ID)),
        (wish("Failed", wanted="stop", incarnation="a", archived=True), seen("RUNNING"), StopJob(ID)),
        (wish("Failed", wanted="stop", incarnation="b", archived=True), seen("PENDING"), Close(known=True)),
        (wish("Accepted", superseded=("old",)), seen(None), Discard("old", known=False)),
    ],
)
def test_steps(given: Wish, cluster: Seen, step: object) -> None:
    assert decide(given, cluster) == step


@pytest.mark.parametrize(
    ("given", "cluster", "status", "reason"),
    [
        (wish("Accepted"), seen("PENDING"), "Created", "Submitted"),
        (wish("Accepted"), seen("SUCCEEDED"), "Succeeded", "Succeeded"),
        (wish("Created"), seen("RUNNING"), "Running", "Running"),
        (wish("Running"), seen("SUCCEEDED"), "Succeeded", "Succeeded"),
        (wish("Running"), seen("FAILED", exit_code=3), "Failed", "ReplicaFailed"),
        (wish("Running"), seen("STOPPED"), "Failed", "Stopped"),
        (wish("Running"), seen(None), "Failed", LOST),
        (wish("Created", incarnation="before"), seen("PENDING"), "Failed", LOST),
        (wish("Running"), seen("FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED"), "Failed", LOST),
        (
            wish("Running"),
            seen("FAILED", exit_code=214),
            "Failed",
            LOST,
        ),  # it was begun a second time, and ended itself
        (wish("Running"), seen("FAILED", exit_code=215), "Failed", "ServiceNotReached"),
        (wish("Running", running_ms=5_000), seen("RUNNING", start_ms=65_001), "Failed", LOST),  # it was, and did not
        (wish("Running"), seen("FAILED", error_type="RUNTIME_ENV_SETUP_FAILURE"), "Failed", "EnvironmentFailed"),
        (wish("Running", deadline_ms=5), seen("STOPPED", now_ms=9), "Failed", "Timeout"),
        (wish("Running", deadline_ms=5), seen("SUCCEEDED", now_ms=9), "Succeeded", "Succeeded"),
        (wish("Running", max_retries=3), seen("FAILED", error_type="DEADLINE_EXCEEDED"), "Failed", "Timeout"),
        (wish("Created", max_retries=3), seen("FAILED", error_type="NOT_VALID"), "Failed", "SubmissionRefused"),
        (wish("Accepted", wanted="stop"), seen(None), "Failed", "Stopped"),
        (wish("Running", wanted="stop"), seen("STOPPED"), "Failed", "Stopped"),
        (wish("Created", wanted="stop", incarnation="a"), seen("PENDING"), "Failed", "Stopped"),
        (wish("Running", wanted="stop"), seen("SUCCEEDED"), "Succeeded", "Succeeded"),
    ],
)
def test_observations(given: Wish, cluster: Seen, status: str, reason: str) -> None:
    step = decide(given, cluster)
    assert isinstance(step, Observe)
    assert (step.status, step.reason) == (status, reason)


@pytest.mark.parametrize("cluster", [seen(None), seen("FAILED", exit_code=1)])
def test_a_failed_or_lost_attempt_is_retried_as_often_as_allowed(cluster: Seen) -> None:
    assert isinstance(decide(wish("Running", max_retries=1), cluster), Retry)
    assert isinstance(decide(wish("Running", max_retries=1, failures=1), cluster), Observe)


def test_a_job_whose_node_died_is_lost_and_never_waited_for() -> None:
    jobs = {ID: Job(ID, JobState.RUNNING, node_id="dead")}
    gone, there = Seen(jobs, "b", frozenset({"new"})), Seen(jobs, "b", frozenset({"new", "dead"}))
    step = decide(wish("Running"), gone)
    assert isinstance(step, Observe) and step.reason == LOST
    assert decide(wish("Running"), there) == Wait()
    assert decide(wish("Accepted", superseded=(ID,)), gone) == Discard(ID, known=True)
    assert decide(wish("Deleted", wanted="delete"), gone) == Purge(known=True)


def test_a_record_is_deleted_only_when_the_cluster_has_noticed_the_end() -> None:
    """Ray makes it again, as failed, if it is deleted within a second or two of the job's end."""
    ended = 1_000_000
    jobs = {ID: Job(ID, JobState.SUCCEEDED, end_ms=ended), "old": Job("old", JobState.FAILED, end_ms=ended)}
    soon, later = Seen(jobs, now_ms=ended + 500), Seen(jobs, now_ms=ended + 4_000)
    closing, deleted = wish("Succeeded", archived=True), wish("Deleted", wanted="delete")
    assert decide(closing, soon) == Settle() and decide(closing, later) == Close(known=True)
    assert decide(deleted, soon) == Settle() and decide(deleted, later) == Purge(known=True)
    assert decide(wish("Succeeded"), soon) == Archive()
    again = wish("Accepted", superseded=("old",))
    assert decide(again, Seen({"old": jobs["old"]}, now_ms=ended)) == Submit()  # the next attempt need not wait
    assert decide(again, later) == Discard("old", known=True)
    assert decide(wish("Succeeded", archived=True, superseded=("old",)), soon) == Settle()


def test_an_environment_that_cannot_be_installed_is_not_retried() -> None:
    step = decide(wish("Running", max_retries=3), seen("FAILED", error_type="RUNTIME_ENV_SETUP_FAILURE"))
    assert isinstance(step, Observe)


def test_an_older_attempt_is_stopped_before_the_next_begins() -> None:
    jobs = {"old": Job("old", JobState.RUNNING)}
    assert decide(wish("Accepted", superseded=("old",)), Seen(jobs)) == StopJob("old")


def test_a_launch_that_somebody_else_has_fetched_is_told_as_such() -> None:
    text = f"[submarine] the attempt failed: this attempt may not begin: {SPENT}\n"
    step = decide(wish("Running"), seen("FAILED", message=text, exit_code=214))
    assert isinstance(step, Observe) and step.reason == LOST
    assert "somebody else has read its ticket" in step.message


def test_the_message_is_the_runners_own_sentence() -> None:
    text = "Traceback...\n[submarine] worker-1 failed: it exited with status 3\n"
    step = decide(wish("Running"), seen("FAILED", message=text, exit_code=3))
    assert isinstance(step, Observe)
    assert step.message == "worker-1 failed: it exited with status 3"
