"""Decides the next step of an experiment from its desired and observed state. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.clusters.drivers import pip
from submarine_ray.clusters.drivers.base import (
    DEADLINE_EXCEEDED,
    LONGEST_SKEW_MS,
    NOT_VALID,
    RUNTIME_ENV_FAILURE,
    Job,
    JobState,
    Look,
    Problem,
    gist,
)
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.launch import BEGUN_BEFORE_STATUS, FINAL_STATUS, NOT_REACHED_STATUS

LOST = "lost"
STOPPED = Status.STOPPED
TIMEOUT = "Timeout"
NO_MEMORY = "OutOfMemory"
NOT_REACHED = "ServiceNotReached"
# What a row says while all is well; anything else in its place is a problem.
CALM = frozenset({None, "Submitted", "Running"})


@dataclass(frozen=True)
class Desired:
    """What the user wants and how far it has come. `failures` counts ended attempts for this desired state;
    `running_ms` is when the attempt was first seen running, `deadline_ms` when it is to be stopped; `told` is the
    problem that users see, `mark` which time of it was seen last. `is_extended`: no driver of the sweep has heard yet
    of all samples that it is to try.
    """

    status: str
    submission_id: str
    wanted: str = "run"
    failures: int = 0
    max_retries: int = 0
    superseded: tuple[str, ...] = ()
    archived: bool = False
    incarnation: str | None = None
    deadline_ms: int | None = None
    running_ms: int | None = None
    told: str | None = None
    mark: str | None = None
    is_extended: bool = False


@dataclass(frozen=True)
class Observed(Look):
    """What the cluster shows, whether it has room for the experiment, and whether others run beside it."""

    units: int = 1
    has_neighbours: bool = False


class Step:
    """What to do next with one experiment."""


@dataclass(frozen=True)
class Wait(Step):
    """Nothing to do now."""


@dataclass(frozen=True)
class Settle(Step):
    """Let the cluster notice that a job has ended."""


@dataclass(frozen=True)
class Queue(Step):
    """The cluster is full."""


@dataclass(frozen=True)
class Submit(Step):
    """Start the current attempt."""


@dataclass(frozen=True)
class Observe(Step):
    """Note the state that the cluster shows."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Tell(Step):
    """Tell the user why the attempt does not proceed; None withdraws what was told."""

    problem: Problem | None


@dataclass(frozen=True)
class Retry(Step):
    """Begin a new attempt in place of one that failed or was lost."""

    reason: str
    message: str


@dataclass(frozen=True)
class GoOn(Step):
    """Begin a new attempt of a sweep that was extended too late for the driver that has ended."""


@dataclass(frozen=True)
class StopJob(Step):
    """Ask the cluster to end a job."""

    submission_id: str


@dataclass(frozen=True)
class Discard(Step):
    """Store an earlier attempt's log, then delete its job from the cluster."""

    submission_id: str
    known: bool


@dataclass(frozen=True)
class Archive(Step):
    """Store the log of the attempt that ended."""


@dataclass(frozen=True)
class Close(Step):
    """Delete the job from the cluster: nothing else is left to do."""

    known: bool


@dataclass(frozen=True)
class Purge(Step):
    """Delete what is left of a deleted experiment."""

    known: bool


# The steps that ask nobody: they only change the row.
NOTES = (Wait, Settle, Queue, Observe, Retry, GoOn, Tell)


def decide(desired: Desired, observed: Observed) -> Step:
    """The next step. Each is safe to take twice, so a crash after any of them loses nothing."""
    if leftover := observed.leftover(desired.superseded):
        submission_id, job = leftover
        return StopJob(submission_id) if observed.is_active(job) else Discard(submission_id, known=job is not None)
    job = observed.jobs.get(desired.submission_id)
    active = observed.is_active(job)
    if desired.wanted == "delete":
        if active:
            return StopJob(desired.submission_id)
        return Settle() if desired.superseded or observed.is_settling(job) else Purge(known=job is not None)
    if desired.status in Status.ENDED:
        return _clean_up(desired, job, observed)
    if desired.wanted == "stop":
        # One that has not begun, such as one that installs its packages, ends for the user now; `_clean_up` goes on.
        if active and not (job and job.state is JobState.PENDING):
            return StopJob(desired.submission_id)
        if job is None or job.state is not JobState.SUCCEEDED:
            return Observe(Status.FAILED, STOPPED, "Stopped by the user.")
    if job is None and desired.status == Status.ACCEPTED:
        return Submit() if observed.units else Queue()
    if job is not None and observed.died_with_node(job):
        return _failed(desired, LOST, "The node that ran this attempt is gone.")
    if job is not None and job.state is not JobState.SUCCEEDED and _is_overdue(desired, job, observed):
        return StopJob(desired.submission_id) if active else Observe(Status.FAILED, TIMEOUT, _OVERDUE)
    return _follow(desired, job, observed.incarnation, observed.has_neighbours)


_OVERDUE = "It ran longer than its timeout, and was stopped."


def _is_overdue(desired: Desired, job: Job, observed: Observed) -> bool:
    """Whether the attempt exceeds its time limit, by our clock or by the cluster's."""
    return job.error_type == DEADLINE_EXCEEDED or (
        desired.deadline_ms is not None and observed.now_ms >= desired.deadline_ms
    )


def _clean_up(desired: Desired, job: Job | None, observed: Observed) -> Step:
    if desired.wanted == "stop" and observed.is_active(job) and desired.incarnation == observed.incarnation:
        return StopJob(desired.submission_id)
    if not desired.archived and job is not None:
        return Archive()
    return Settle() if desired.superseded or observed.is_settling(job) else Close(known=job is not None)


def _follow(desired: Desired, job: Job | None, incarnation: str | None, shared: bool) -> Step:
    """Follow the state of the current attempt on the cluster."""
    if job is None:
        return _failed(
            desired, LOST, "The cluster no longer knows this attempt: it was restarted, or lost its records."
        )
    if job.state is JobState.PENDING:
        if desired.incarnation is not None and incarnation is not None and desired.incarnation != incarnation:
            return _failed(desired, LOST, "The cluster was restarted before this attempt had started.")
        if desired.status == Status.ACCEPTED:
            return Observe(Status.CREATED, "Submitted", "The cluster has accepted the job.")
        return _tell(desired, job)
    if job.state is JobState.RUNNING:
        if desired.status == Status.RUNNING:
            if job.start_ms and desired.running_ms and job.start_ms > desired.running_ms + LONGEST_SKEW_MS:
                return _failed(desired, LOST, "The cluster lost the attempt, and started it again by itself.")
            return _tell(desired, job)
        return Observe(Status.RUNNING, "Running", "The job is running.")
    if job.state is JobState.SUCCEEDED:
        if desired.is_extended and desired.wanted == "run":
            return GoOn()
        return Observe(Status.SUCCEEDED, "Succeeded", "Completed on all replicas.")
    if job.state is JobState.STOPPED:
        return Observe(Status.FAILED, STOPPED, "The job was stopped on the cluster.")
    if lacking := job.out_of_memory:
        # Where it was alone, it would need as much once more. Elsewhere its neighbours may have taken the memory.
        may_help = shared and job.exit_code != FINAL_STATUS
        return _failed(desired, NO_MEMORY, lacking) if may_help else Observe(Status.FAILED, NO_MEMORY, lacking)
    if job.is_lost:
        return _failed(desired, LOST, "The attempt was lost with the part of the cluster that ran it.")
    if job.error_type == NOT_VALID:
        return Observe(Status.FAILED, "SubmissionRefused", job.message or job.why)
    if job.error_type == RUNTIME_ENV_FAILURE:
        # Trying again would install the same packages.
        words = pip.said(job.message or "")
        return Observe(
            Status.FAILED, "EnvironmentFailed", f"pip finds no versions that fit: {words}" if words else job.why
        )
    if job.exit_code == BEGUN_BEFORE_STATUS:
        # Where launches are fetched, somebody else may have been faster: the runner says so.
        again = "The cluster lost the attempt and started it again, which was refused."
        return _failed(desired, LOST, job.why if "its ticket" in job.why else again)
    if job.exit_code == NOT_REACHED_STATUS:
        return _failed(desired, NOT_REACHED, job.why)
    if job.exit_code == FINAL_STATUS:
        return Observe(Status.FAILED, "ReplicaFailed", job.why)
    return _failed(desired, "ReplicaFailed", job.why)


def _tell(desired: Desired, job: Job) -> Step:
    """Tell the user of a problem of the job: once, and again each time it recurs."""
    problem = job.problem
    if gist(problem.message if problem else None) != gist(desired.told):
        return Tell(problem)
    came_again = problem is not None and problem.mark and desired.mark not in (None, problem.mark)
    return Tell(problem) if came_again else Wait()


def _failed(desired: Desired, reason: str, message: str) -> Step:
    if desired.failures < desired.max_retries:
        return Retry(reason, message)
    return Observe(Status.FAILED, reason, message)
