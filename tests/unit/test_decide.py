"""Every transition of an experiment's life, as a table."""

from __future__ import annotations

import pytest

from submarine_ray.clusters.drivers.base import Job, JobState, Problem
from submarine_ray.clusters.launches import SPENT
from submarine_ray.experiments.decide import (
    LOST,
    Archive,
    Close,
    Desired,
    Discard,
    Observe,
    Observed,
    Purge,
    Queue,
    Retry,
    Settle,
    StopJob,
    Submit,
    Tell,
    Wait,
    decide,
)

ID = "experiment-1-0001"


SLOW = Problem("Slow", "It waits (2 of 2).")
AGAIN = Problem("Slow", "It waits (2 of 2).", mark="second time")


def observed(
    state: str | None, has_room: bool = True, incarnation: str = "a", now_ms: int = 0, **job: object
) -> Observed:
    jobs = {ID: Job(ID, JobState(state), **job)} if state else {}  # type: ignore[arg-type]
    return Observed(jobs, incarnation, units=int(has_room), now_ms=now_ms)


def desired(status: str, **fields: object) -> Desired:
    return Desired(status, ID, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "cluster", "step"),
    [
        (desired("Accepted"), observed(None), Submit()),
        (desired("Accepted"), observed(None, has_room=False), Queue()),
        (desired("Created", incarnation="a"), observed("PENDING"), Wait()),
        (desired("Running"), observed("RUNNING"), Wait()),
        (desired("Created"), observed("PENDING", problem=SLOW), Tell(SLOW)),
        (desired("Created", told="It waits (1 of 2)."), observed("PENDING", problem=SLOW), Wait()),
        (desired("Created", told="It waits (1 of 2)."), observed("PENDING"), Tell(None)),
        (
            desired("Created", told="It waits (1 of 2).", mark="first time"),
            observed("PENDING", problem=AGAIN),
            Tell(AGAIN),
        ),
        (desired("Created", told="It waits (1 of 2).", mark="second time"), observed("PENDING", problem=AGAIN), Wait()),
        (
            desired("Created", told="It waits (1 of 2)."),
            observed("PENDING", problem=AGAIN),
            Wait(),
        ),  # nobody knows which time it is
        (desired("Created", told="It waits (1 of 2).", mark="first time"), observed("PENDING", problem=SLOW), Wait()),
        (desired("Running"), observed("RUNNING", problem=SLOW), Tell(SLOW)),
        (desired("Running", running_ms=5_000), observed("RUNNING", start_ms=65_000), Wait()),  # clocks differ
        (desired("Running", deadline_ms=5), observed("RUNNING", now_ms=4), Wait()),
        (desired("Running", deadline_ms=5), observed("RUNNING", now_ms=5), StopJob(ID)),
        (desired("Running"), observed("RUNNING", error_type="DEADLINE_EXCEEDED"), StopJob(ID)),
        (desired("Succeeded"), observed("SUCCEEDED"), Archive()),
        (desired("Succeeded", archived=True), observed("SUCCEEDED"), Close(known=True)),
        (desired("Succeeded", archived=True), observed(None), Close(known=False)),
        (desired("Failed"), observed(None), Close(known=False)),
        (desired("Deleted", wanted="delete"), observed("RUNNING"), StopJob(ID)),
        (desired("Deleted", wanted="delete"), observed("STOPPED"), Purge(known=True)),
        (desired("Deleted", wanted="delete"), observed(None), Purge(known=False)),
        (desired("Running", wanted="stop"), observed("RUNNING"), StopJob(ID)),
        (desired("Failed", wanted="stop", incarnation="a"), observed("PENDING"), StopJob(ID)),
        (desired("Failed", wanted="stop", incarnation="a", archived=True), observed("RUNNING"), StopJob(ID)),
        (desired("Failed", wanted="stop", incarnation="b", archived=True), observed("PENDING"), Close(known=True)),
        (desired("Accepted", superseded=("old",)), observed(None), Discard("old", known=False)),
    ],
)
def test_steps(given: Desired, cluster: Observed, step: object) -> None:
    assert decide(given, cluster) == step


@pytest.mark.parametrize(
    ("given", "cluster", "status", "reason"),
    [
        (desired("Accepted"), observed("PENDING"), "Created", "Submitted"),
        (desired("Accepted"), observed("SUCCEEDED"), "Succeeded", "Succeeded"),
        (desired("Created"), observed("RUNNING"), "Running", "Running"),
        (desired("Running"), observed("SUCCEEDED"), "Succeeded", "Succeeded"),
        (desired("Running"), observed("FAILED", exit_code=3), "Failed", "ReplicaFailed"),
        (desired("Running"), observed("STOPPED"), "Failed", "Stopped"),
        (desired("Running"), observed(None), "Failed", LOST),
        (desired("Created", incarnation="before"), observed("PENDING"), "Failed", LOST),
        (desired("Running"), observed("FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED"), "Failed", LOST),
        (
            desired("Running"),
            observed("FAILED", exit_code=214),
            "Failed",
            LOST,
        ),  # it was begun a second time, and ended itself
        (desired("Running"), observed("FAILED", exit_code=215), "Failed", "ServiceNotReached"),
        (
            desired("Running", running_ms=5_000),
            observed("RUNNING", start_ms=65_001),
            "Failed",
            LOST,
        ),  # it was, and did not
        (desired("Running"), observed("FAILED", error_type="RUNTIME_ENV_SETUP_FAILURE"), "Failed", "EnvironmentFailed"),
        (desired("Running", deadline_ms=5), observed("STOPPED", now_ms=9), "Failed", "Timeout"),
        (desired("Running", deadline_ms=5), observed("SUCCEEDED", now_ms=9), "Succeeded", "Succeeded"),
        (desired("Running", max_retries=3), observed("FAILED", error_type="DEADLINE_EXCEEDED"), "Failed", "Timeout"),
        (desired("Created", max_retries=3), observed("FAILED", error_type="NOT_VALID"), "Failed", "SubmissionRefused"),
        (desired("Accepted", wanted="stop"), observed(None), "Failed", "Stopped"),
        (desired("Running", wanted="stop"), observed("STOPPED"), "Failed", "Stopped"),
        (desired("Created", wanted="stop", incarnation="a"), observed("PENDING"), "Failed", "Stopped"),
        (desired("Running", wanted="stop"), observed("SUCCEEDED"), "Succeeded", "Succeeded"),
    ],
)
def test_observations(given: Desired, cluster: Observed, status: str, reason: str) -> None:
    step = decide(given, cluster)
    assert isinstance(step, Observe)
    assert (step.status, step.reason) == (status, reason)


@pytest.mark.parametrize("cluster", [observed(None), observed("FAILED", exit_code=1)])
def test_a_failed_or_lost_attempt_is_retried_as_often_as_allowed(cluster: Observed) -> None:
    assert isinstance(decide(desired("Running", max_retries=1), cluster), Retry)
    assert isinstance(decide(desired("Running", max_retries=1, failures=1), cluster), Observe)


def test_a_job_whose_node_died_is_lost_and_never_waited_for() -> None:
    jobs = {ID: Job(ID, JobState.RUNNING, node_id="dead")}
    gone, there = Observed(jobs, "b", frozenset({"new"})), Observed(jobs, "b", frozenset({"new", "dead"}))
    step = decide(desired("Running"), gone)
    assert isinstance(step, Observe) and step.reason == LOST
    assert decide(desired("Running"), there) == Wait()
    assert decide(desired("Accepted", superseded=(ID,)), gone) == Discard(ID, known=True)
    assert decide(desired("Deleted", wanted="delete"), gone) == Purge(known=True)


def test_a_record_is_deleted_only_when_the_cluster_has_noticed_the_end() -> None:
    """Ray makes it again, as failed, if it is deleted within a second or two of the job's end."""
    ended = 1_000_000
    jobs = {ID: Job(ID, JobState.SUCCEEDED, end_ms=ended), "old": Job("old", JobState.FAILED, end_ms=ended)}
    soon, later = Observed(jobs, now_ms=ended + 500), Observed(jobs, now_ms=ended + 4_000)
    closing, deleted = desired("Succeeded", archived=True), desired("Deleted", wanted="delete")
    assert decide(closing, soon) == Settle() and decide(closing, later) == Close(known=True)
    assert decide(deleted, soon) == Settle() and decide(deleted, later) == Purge(known=True)
    assert decide(desired("Succeeded"), soon) == Archive()
    again = desired("Accepted", superseded=("old",))
    assert decide(again, Observed({"old": jobs["old"]}, now_ms=ended)) == Submit()  # the next attempt need not wait
    assert decide(again, later) == Discard("old", known=True)
    assert decide(desired("Succeeded", archived=True, superseded=("old",)), soon) == Settle()


def test_an_environment_that_cannot_be_installed_is_not_retried() -> None:
    step = decide(desired("Running", max_retries=3), observed("FAILED", error_type="RUNTIME_ENV_SETUP_FAILURE"))
    assert isinstance(step, Observe)


def test_an_older_attempt_is_stopped_before_the_next_begins() -> None:
    jobs = {"old": Job("old", JobState.RUNNING)}
    assert decide(desired("Accepted", superseded=("old",)), Observed(jobs)) == StopJob("old")


def test_a_launch_that_somebody_else_has_fetched_is_told_as_such() -> None:
    text = f"[submarine] the attempt failed: this attempt may not begin: {SPENT}\n"
    step = decide(desired("Running"), observed("FAILED", message=text, exit_code=214))
    assert isinstance(step, Observe) and step.reason == LOST
    assert "somebody else has read its ticket" in step.message


def test_the_message_is_the_runners_own_sentence() -> None:
    text = "Traceback...\n[submarine] worker-1 failed: it exited with status 3\n"
    step = decide(desired("Running"), observed("FAILED", message=text, exit_code=3))
    assert isinstance(step, Observe)
    assert step.message == "worker-1 failed: it exited with status 3"


def test_nothing_is_known_of_others_until_it_is_said() -> None:
    assert Observed({}) == Observed({}, units=1, has_neighbours=False)


@pytest.mark.parametrize(
    ("job", "reason", "message"),
    [
        ({"error_type": "NOT_VALID", "message": "KubeRay refuses it\nfor good"}, "SubmissionRefused", "KubeRay refuses it\nfor good"),
        ({"error_type": "NOT_VALID"}, "SubmissionRefused", "The job failed."),
        ({"error_type": "RUNTIME_ENV_SETUP_FAILURE", "message": "no disk"}, "EnvironmentFailed", "no disk"),
        (
            {"error_type": "RUNTIME_ENV_SETUP_FAILURE", "message": "ERROR: Invalid requirement: 'x=='\nmore"},
            "EnvironmentFailed", "pip finds no versions that fit: Invalid requirement: 'x=='",
        ),
        ({"exit_code": 214}, LOST, "The cluster lost the attempt and started it again, which was refused."),
        ({"exit_code": 213, "message": "[submarine] it failed\n"}, "ReplicaFailed", "it failed"),
    ],
)  # fmt: skip
def test_why_an_attempt_failed_in_the_words_of_who_knows(job: dict[str, object], reason: str, message: str) -> None:
    step = decide(desired("Running"), observed("FAILED", **job))  # type: ignore[arg-type]
    assert step == Observe("Failed", reason, message)
