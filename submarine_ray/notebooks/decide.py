"""Decides the next step of a notebook from its desired and observed state. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.clusters.drivers.base import RUNTIME_ENV_FAILURE, Job, JobState, Look, gist
from submarine_ray.spec.notebooks import NotebookStatus as Status

MAX_RESTARTS = 3
IS_CREATING = "The notebook instance is creating"
IDLE = "The notebook was idle, and was stopped; start it to go on with the same files"
SHUT_DOWN = "The notebook was shut down from within; start it to go on with the same files"


@dataclass(frozen=True)
class Desired:
    """The row's side; `submitted_to` is the incarnation of the cluster that has the current start."""

    status: str
    submission_id: str
    wanted: str = "run"
    failures: int = 0
    superseded: tuple[str, ...] = ()
    submitted_to: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Said:
    """What the runner has said in the job's log: where JupyterLab listens (host:port), that it was idle."""

    address: str | None = None
    was_idle: bool = False


@dataclass(frozen=True)
class Observed(Look):
    """The cluster's side; `said` is None until the job's log was read."""

    said: Said | None = None


class Step:
    """What to do next with one notebook."""


@dataclass(frozen=True)
class Wait(Step):
    """Look again later."""


@dataclass(frozen=True)
class Rest(Step):
    """Nothing is left to do until a user wants something."""


@dataclass(frozen=True)
class Submit(Step):
    """Start JupyterLab, if the cluster has room."""


@dataclass(frozen=True)
class ReadLog(Step):
    """The next step depends on what the runner has said: decide again once that is known."""


@dataclass(frozen=True)
class Note(Step):
    """Note the state that the cluster shows; `address`: where JupyterLab listens."""

    status: str
    reason: str
    address: str | None = None


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


def decide(desired: Desired, observed: Observed) -> Step:
    """The next step. Each is safe to take twice, so a crash after any of them loses nothing."""
    if leftover := observed.leftover(desired.superseded):
        submission_id, job = leftover
        return StopJob(submission_id) if observed.is_active(job) else Forget(submission_id, known=job is not None)
    job = observed.jobs.get(desired.submission_id)
    if desired.wanted != "run" and observed.is_active(job):
        return StopJob(desired.submission_id)
    if desired.wanted == "delete":
        return Wait() if desired.superseded or observed.is_settling(job) else Purge(known=job is not None)
    if desired.wanted == "stop" and desired.status not in (Status.STOPPED, Status.FAILED):
        return Note(Status.STOPPED, "The notebook instance is stopped")
    if desired.status in (Status.STOPPED, Status.FAILED):
        return Wait() if desired.superseded else Rest()
    if desired.submitted_to is None and job is None:
        return Submit()
    return _follow(desired, job, observed)


def _follow(desired: Desired, job: Job | None, observed: Observed) -> Step:
    """Where the cluster says the current start is."""
    if job and (lacking := job.out_of_memory):
        return _again(desired, observed, job, lacking)
    if job is None or job.is_lost or observed.died_with_node(job):
        return Restart("The cluster was restarted, or lost the node of the notebook; it starts again", counts=False)
    if job.state is JobState.PENDING:
        restarted = desired.submitted_to not in (None, observed.incarnation)
        if restarted:
            return Restart("The cluster was restarted; the notebook starts again", counts=False)
        if job.problem and gist(job.problem.message) != gist(desired.reason):
            return Note(Status.CREATING, job.problem.message)
        has_passed = (
            job.problem is None and desired.status == Status.CREATING and desired.reason not in (None, IS_CREATING)
        )
        return Note(Status.CREATING, IS_CREATING) if has_passed else Wait()
    if job.state is JobState.RUNNING:
        if desired.status == Status.RUNNING:
            return Wait()
        if observed.said is None:
            return ReadLog()
        address = observed.said.address
        return Note(Status.RUNNING, "The notebook instance is running", address) if address else Wait()
    if job.state is JobState.SUCCEEDED:
        if observed.said is None:
            return ReadLog()
        return Note(Status.STOPPED, IDLE if observed.said.was_idle else SHUT_DOWN)
    if job.state is JobState.STOPPED:
        return Note(Status.STOPPED, "The notebook was stopped on its cluster")
    return _again(desired, observed, job, job.why)


def _again(desired: Desired, observed: Observed, job: Job, why: str) -> Step:
    """What ran and failed is started again, but not for ever."""
    if desired.status != Status.RUNNING and observed.said is None:
        return ReadLog()
    has_run = desired.status == Status.RUNNING or (observed.said is not None and observed.said.address is not None)
    if has_run and desired.failures < MAX_RESTARTS and job.error_type != RUNTIME_ENV_FAILURE:
        return Restart(f"{why} It starts again.", counts=True)
    return Note(Status.FAILED, why)
