"""The outcomes of steps: columns to write and events for users. Pure."""

from __future__ import annotations

from typing import Any

from submarine_ray.clusters.drivers.base import Blocked, Job, Problem, gist, submission_id
from submarine_ray.core.clock import CLOCK, due_ms, now_ms
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.events import Event
from submarine_ray.experiments import decide
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.experiment import ExperimentStatus as Status

YOUNG_PAUSE_MS, OLD_PAUSE_MS = 25, 1_500
LOOKS_IN_AN_AGE = 12
# For clusters that are watched: only in case an event was lost.
WATCHED_PAUSE_MS = 300_000

Values = dict[str, Any]


def observed(row: ExperimentRow, step: decide.Observe, job: Job | None, watches: bool = False) -> Outcome:
    """Note a state that the cluster shows. A cluster that is watched need not be polled again soon."""
    values: Values = {
        "status": step.status,
        "reason": step.reason,
        "message": step.message,
        "next_check_ms": due_ms() + YOUNG_PAUSE_MS,
    }
    if row.created_ms is None:
        values["created_ms"] = now_ms()
    if step.status == Status.RUNNING:
        values["running_ms"] = now_ms()
        values["deadline_ms"] = due_ms() + row.timeout_seconds * 1000 if row.timeout_seconds else None
    if step.status in Status.ENDED:
        started = job.start_ms if job else None
        values["running_ms"] = row.running_ms or started
        values["finished_ms"] = (job.end_ms if job else None) or now_ms()
        values["next_check_ms"] = due_ms()
    elif watches and job is not None and job.problem is None:
        deadline = values.get("deadline_ms", row.deadline_ms)
        values["next_check_ms"] = due_ms() + _watched_pause(job, deadline)
    return Outcome(values, [Event(step.reason, step.message, row.status, step.status)])


def limited(row: ExperimentRow, spec: ExperimentSpec, at_once: int) -> list[Event]:
    """An event that fewer trials run at once than were asked for."""
    wanted = spec.tune.max_concurrent_trials if spec.tune else None
    if wanted is None or spec.tune is None or at_once >= min(wanted, spec.tune.trials):
        return []
    message = (
        f"maxConcurrentTrials is {wanted}, and cluster {row.cluster!r} has room for {at_once}: so many run at once."
    )
    return [Event("TrialsLimited", message)]


def hurried(row: ExperimentRow, spec: ExperimentSpec, grace: int | None) -> list[Event]:
    """An event that the cluster gives processes less time to end than the spec asks for."""
    if grace is None or spec.grace <= grace:
        return []
    message = (
        f"gracePeriod is {spec.grace} s when the experiment is stopped. When Kubernetes takes a pod of cluster "
        f"{row.cluster!r} away, its processes have {grace} s: the pods are shared."
    )
    return [Event("GraceLimited", message)]


def retried(row: ExperimentRow, step: decide.Retry) -> Outcome:
    """Begin the next attempt."""
    attempt = row.attempt + 1
    retries = f"{row.failures + 1} of {row.max_retries} retries"
    told = Event(step.reason, f"{step.message} Attempt {attempt} begins ({retries}).",
                 row.status, Status.ACCEPTED)  # fmt: skip
    values = {
        "status": Status.ACCEPTED,
        "attempt": attempt,
        "failures": row.failures + 1,
        "superseded": f"{row.superseded} {submission_id(row.id, row.attempt)}".strip(),
        "incarnation": None,
        "deadline_ms": None,
        "archived": False,
        "reason": step.reason,
        "message": step.message,
        "next_check_ms": due_ms(),
    }
    return Outcome(values, [told])


def gone_on(row: ExperimentRow) -> Outcome:
    """Begin the next attempt of a sweep that was extended while its driver ended."""
    said = f"The sweep was extended while it ended. Attempt {row.attempt + 1} continues it."
    values = {
        "status": Status.ACCEPTED,
        "attempt": row.attempt + 1,
        "superseded": f"{row.superseded} {submission_id(row.id, row.attempt)}".strip(),
        "incarnation": None,
        "deadline_ms": None,
        "archived": False,
        "reason": None,
        "message": None,
        "next_check_ms": due_ms(),
    }
    return Outcome(values, [Event("Extended", said, row.status, Status.ACCEPTED)])


def submitted(row: ExperimentRow) -> tuple[str, ...]:
    """The ids of jobs that the cluster may know; an attempt without a run was never submitted."""
    return row.superseded_ids if row.run_id is None else (*row.superseded_ids, row.submission_id)


def deadline_ms(row: ExperimentRow) -> int | None:
    """When the running attempt is to be stopped, as the machine's clock will say it then, in ms since 1970."""
    return None if row.deadline_ms is None else CLOCK.shown(row.deadline_ms)


def told(problem: Problem | None, pause_ms: int) -> Outcome:
    """Show a problem to the user, or that it has passed."""
    values: Values = {"next_check_ms": due_ms() + pause_ms, "reason": None, "message": None}
    if problem is None:
        return Outcome(values, [Event("Resolved", "What held the attempt up has passed.", recurs=True)])
    event = Event(problem.reason, problem.message, recurs=True)
    return Outcome(values | {"reason": problem.reason, "message": problem.message}, [event])


def blocked(row: ExperimentRow, failure: Blocked) -> Outcome:
    """Wait for what is missing: tell the user once, and try rarely."""
    values: Values = {"next_check_ms": due_ms() + failure.pause_ms}
    if row.status != Status.ACCEPTED:
        return Outcome(values)
    values |= {"reason": failure.reason, "message": str(failure)}
    said = (row.reason, gist(row.message)) == (failure.reason, gist(str(failure)))
    return Outcome(values, [] if said else [Event(failure.reason, str(failure), recurs=True)])


def pause(row: ExperimentRow, watches: bool, observed: decide.Observed) -> int:
    """How long to leave a row alone, in ms: the young are watched closely unless they are many, the old rarely, and
    those whose cluster tells of changes hardly at all.
    """
    watched = len(observed.jobs)
    job = observed.jobs.get(row.submission_id)
    if watches:
        return _watched_pause(job, row.deadline_ms)
    since = row.running_ms or row.created_ms or row.accepted_ms
    age = now_ms() - since
    # A change is seen late by a few hundredths of what it took: nobody waits for that, and each look costs the cluster.
    by_age = min(max(age // LOOKS_IN_AN_AGE, YOUNG_PAUSE_MS), OLD_PAUSE_MS)
    return max(by_age, YOUNG_PAUSE_MS * min(watched, 12))


def _watched_pause(job: Job | None, deadline: int | None) -> int:
    again = WATCHED_PAUSE_MS if job is None or job.again_ms is None else job.again_ms
    return again if deadline is None else max(100, min(again, deadline - due_ms()))
