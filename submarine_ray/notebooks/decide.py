"""The pure heart of notebooks: what is wanted and what was observed in, the next step out. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.clusters.drivers.base import RUNTIME_ENV_FAILURE, Job, JobState, Look, gist
from submarine_ray.spec.notebooks import NotebookStatus as Status

MAX_RESTARTS = 3
IS_CREATING = "The notebook instance is creating"
IDLE = "The notebook was idle, and was stopped; start it to go on with the same files"
SHUT_DOWN = "The notebook was shut down from within; start it to go on with the same files"


@dataclass(frozen=True)
class Wish:
    """The row's side; `submitted_to` is the incarnation of the cluster that has the current start."""

    status: str
    submission_id: str
    wanted: str = "run"
    failures: int = 0
    superseded: tuple[str, ...] = ()
    submitted_to: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Seen(Look):
    """The cluster's side; whether it has room; what the runner has said: where JupyterLab listens, that it was idle."""

    has_room: bool = True
    address: str | None = None
    was_idle: bool = False


class Step:
    """What to do next with one notebook."""


@dataclass(frozen=True)
class Wait(Step):
    """Look again later."""


@dataclass(frozen=True)
class Rest(Step):
    """Nothing is left to do until a user wants something."""


@dataclass(frozen=True)
class Queue(Step):
    """The cluster is full."""


@dataclass(frozen=True)
class Submit(Step):
    """Start JupyterLab."""


@dataclass(frozen=True)
class Observe(Step):
    """Note the state that the cluster shows."""

    status: str
    reason: str


@dataclass(frozen=True)
class Restart(Step):
    """Start it again: it ended without anybody having asked for it. `counts` if that may be its own fault."""

    reason: str
    counts: bool


@dataclass(frozen=True)
class StopJob(Step):
    """Ask the cluster to end a job."""

    submission_id: str


@dataclass(frozen=True)
class Forget(Step):
    """Let the cluster forget an earlier start."""

    submission_id: str
    known: bool


@dataclass(frozen=True)
class Purge(Step):
    """Drop a deleted notebook."""

    known: bool


def decide(wish: Wish, seen: Seen) -> Step:
    """The next step. Each is safe to take twice, so a crash after any of them loses nothing."""
    for submission_id in wish.superseded:
        job = seen.jobs.get(submission_id)
        if seen.is_active(job):
            return StopJob(submission_id)
        if not seen.is_settling(job):
            return Forget(submission_id, known=job is not None)
    job = seen.jobs.get(wish.submission_id)
    if wish.wanted != "run" and seen.is_active(job):
        return StopJob(wish.submission_id)
    if wish.wanted == "delete":
        return Wait() if wish.superseded or seen.is_settling(job) else Purge(known=job is not None)
    if wish.wanted == "stop" and wish.status not in (Status.STOPPED, Status.FAILED):
        return Observe(Status.STOPPED, "The notebook instance is stopped")
    if wish.status in (Status.STOPPED, Status.FAILED):
        return Wait() if wish.superseded else Rest()
    if wish.submitted_to is None and job is None:
        return Submit() if seen.has_room else Queue()
    return _follow(wish, job, seen)


def _follow(wish: Wish, job: Job | None, seen: Seen) -> Step:
    """Where the cluster says the current start is."""
    if job and (lacking := job.out_of_memory):
        return _again(wish, seen, job, lacking)
    if job is None or job.is_lost or seen.died_with_node(job):
        return Restart("The cluster was restarted, or lost the node of the notebook; it starts again", counts=False)
    if job.state is JobState.PENDING:
        restarted = wish.submitted_to not in (None, seen.incarnation)
        if restarted:
            return Restart("The cluster was restarted; the notebook starts again", counts=False)
        if job.problem and gist(job.problem.message) != gist(wish.reason):
            return Observe(Status.CREATING, job.problem.message)
        has_passed = job.problem is None and wish.status == Status.CREATING and wish.reason not in (None, IS_CREATING)
        return Observe(Status.CREATING, IS_CREATING) if has_passed else Wait()
    if job.state is JobState.RUNNING:
        if wish.status == Status.RUNNING or seen.address is None:
            return Wait()
        return Observe(Status.RUNNING, "The notebook instance is running")
    if job.state is JobState.SUCCEEDED:
        return Observe(Status.STOPPED, IDLE if seen.was_idle else SHUT_DOWN)
    if job.state is JobState.STOPPED:
        return Observe(Status.STOPPED, "The notebook was stopped on its cluster")
    return _again(wish, seen, job, job.why)


def _again(wish: Wish, seen: Seen, job: Job, why: str) -> Step:
    """What ran and failed is started again, but not for ever."""
    has_run = wish.status == Status.RUNNING or seen.address is not None
    if has_run and wish.failures < MAX_RESTARTS and job.error_type != RUNTIME_ENV_FAILURE:
        return Restart(f"{why} It starts again.", counts=True)
    return Observe(Status.FAILED, why)
