"""The pure heart of experiments: what is wanted and what was observed in, the next step out. No I/O."""

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
class Wish:
    """The row's side: what the user wants and how far it has come. `failures` counts ended attempts of this wish;
    `running_ms` is when the attempt was first seen running, `deadline_ms` when it is to be stopped; `told` is the
    problem that users see, `mark` which time of it was seen last.
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


@dataclass(frozen=True)
class Seen(Look):
    """The cluster's side: whether it has room for the experiment, and whether others run beside it."""

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
    """Say why the attempt does not get on; None: what was said is no longer so."""

    problem: Problem | None


@dataclass(frozen=True)
class Retry(Step):
    """Begin a new attempt in place of one that failed or was lost."""

    reason: str
    message: str


@dataclass(frozen=True)
class StopJob(Step):
    """Ask the cluster to end a job."""

    submission_id: str


@dataclass(frozen=True)
class Discard(Step):
    """Keep an earlier attempt's log, then let the cluster forget it."""

    submission_id: str
    known: bool


@dataclass(frozen=True)
class Archive(Step):
    """Keep the log of the attempt that ended."""


@dataclass(frozen=True)
class Close(Step):
    """Let the cluster forget the job: nothing is left to do."""

    known: bool


@dataclass(frozen=True)
class Purge(Step):
    """Drop a deleted experiment."""

    known: bool


# The steps that ask nobody: they only change the row.
NOTES = (Wait, Settle, Queue, Observe, Retry, Tell)


def decide(wish: Wish, seen: Seen) -> Step:
    """The next step. Each is safe to take twice, so a crash after any of them loses nothing."""
    for submission_id in wish.superseded:
        job = seen.jobs.get(submission_id)
        if seen.is_active(job):
            return StopJob(submission_id)
        if not seen.is_settling(job):
            return Discard(submission_id, known=job is not None)
    job = seen.jobs.get(wish.submission_id)
    active = seen.is_active(job)
    if wish.wanted == "delete":
        if active:
            return StopJob(wish.submission_id)
        return Settle() if wish.superseded or seen.is_settling(job) else Purge(known=job is not None)
    if wish.status in Status.ENDED:
        return _put_away(wish, job, seen)
    if wish.wanted == "stop":
        # One that has not begun, such as one that installs its packages, ends for the user now; `_put_away` goes on.
        if active and not (job and job.state is JobState.PENDING):
            return StopJob(wish.submission_id)
        if job is None or job.state is not JobState.SUCCEEDED:
            return Observe(Status.FAILED, STOPPED, "Stopped by the user.")
    if job is None and wish.status == Status.ACCEPTED:
        return Submit() if seen.units else Queue()
    if job is not None and seen.died_with_node(job):
        return _failed(wish, LOST, "The node that ran this attempt is gone.")
    if job is not None and job.state is not JobState.SUCCEEDED and _is_overdue(wish, job, seen):
        return StopJob(wish.submission_id) if active else Observe(Status.FAILED, TIMEOUT, _OVERDUE)
    return _follow(wish, job, seen.incarnation, seen.has_neighbours)


_OVERDUE = "It ran longer than its timeout, and was stopped."


def _is_overdue(wish: Wish, job: Job, seen: Seen) -> bool:
    """Whether it has run too long, by our clock or by the cluster's."""
    return job.error_type == DEADLINE_EXCEEDED or (wish.deadline_ms is not None and seen.now_ms >= wish.deadline_ms)


def _put_away(wish: Wish, job: Job | None, seen: Seen) -> Step:
    if wish.wanted == "stop" and seen.is_active(job) and wish.incarnation == seen.incarnation:
        return StopJob(wish.submission_id)
    if not wish.archived and job is not None:
        return Archive()
    return Settle() if wish.superseded or seen.is_settling(job) else Close(known=job is not None)


def _follow(wish: Wish, job: Job | None, incarnation: str | None, shared: bool) -> Step:
    """Where the cluster says the current attempt is."""
    if job is None:
        return _failed(wish, LOST, "The cluster no longer knows this attempt: it was restarted, or lost its records.")
    if job.state is JobState.PENDING:
        if wish.incarnation is not None and incarnation is not None and wish.incarnation != incarnation:
            return _failed(wish, LOST, "The cluster was restarted before this attempt had started.")
        if wish.status == Status.ACCEPTED:
            return Observe(Status.CREATED, "Submitted", "The cluster has accepted the job.")
        return _tell(wish, job)
    if job.state is JobState.RUNNING:
        if wish.status == Status.RUNNING:
            if job.start_ms and wish.running_ms and job.start_ms > wish.running_ms + LONGEST_SKEW_MS:
                return _failed(wish, LOST, "The cluster lost the attempt, and started it again by itself.")
            return _tell(wish, job)
        return Observe(Status.RUNNING, "Running", "The job is running.")
    if job.state is JobState.SUCCEEDED:
        return Observe(Status.SUCCEEDED, "Succeeded", "All replicas ended well.")
    if job.state is JobState.STOPPED:
        return Observe(Status.FAILED, STOPPED, "The job was stopped on the cluster.")
    if lacking := job.out_of_memory:
        # Where it was alone, it would need as much once more. Elsewhere its neighbours may have taken the memory.
        may_help = shared and job.exit_code != FINAL_STATUS
        return _failed(wish, NO_MEMORY, lacking) if may_help else Observe(Status.FAILED, NO_MEMORY, lacking)
    if job.is_lost:
        return _failed(wish, LOST, "The attempt was lost with the part of the cluster that ran it.")
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
        return _failed(wish, LOST, job.why if "its ticket" in job.why else again)
    if job.exit_code == NOT_REACHED_STATUS:
        return _failed(wish, NOT_REACHED, job.why)
    if job.exit_code == FINAL_STATUS:
        return Observe(Status.FAILED, "ReplicaFailed", job.why)
    return _failed(wish, "ReplicaFailed", job.why)


def _tell(wish: Wish, job: Job) -> Step:
    """Pass on what keeps the job: once, and each time that it comes again."""
    problem = job.problem
    if gist(problem.message if problem else None) != gist(wish.told):
        return Tell(problem)
    came_again = problem is not None and problem.mark and wish.mark not in (None, problem.mark)
    return Tell(problem) if came_again else Wait()


def _failed(wish: Wish, reason: str, message: str) -> Step:
    if wish.failures < wish.max_retries:
        return Retry(reason, message)
    return Observe(Status.FAILED, reason, message)
