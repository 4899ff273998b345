"""What the reconcilers ask of a cluster, whatever its kind, and how a cluster's refusals are told apart.

These errors never reach HTTP: the reconcilers turn them into states and events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from submarine_ray.spec.launch import Launch
from submarine_ray.spec.quantities import Resources

LOG_SECONDS = 30.0
# Ray's own parts failed, not the user's command: the attempt is lost, whatever state it was in.
INFRASTRUCTURE_ERRORS = frozenset(
    {
        "JOB_SUPERVISOR_ACTOR_DIED",
        "JOB_SUPERVISOR_ACTOR_START_FAILURE",
        "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
        "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
        "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE",
    }
)
RUNTIME_ENV_FAILURE = "RUNTIME_ENV_SETUP_FAILURE"
# Ray's job manager looks at a job once a second until it has seen its end. A record that is deleted before that is
# made again, as failed (ray/dashboard/modules/job/job_manager.py, _monitor_job_internal).
SETTLE_MS = 3_000
LONGEST_SKEW_MS = 60_000


def submission_id(id: str, attempt: int) -> str:
    """The job's id: its experiment's or notebook's, plus -rN for attempt N. Chosen by us, so that submitting twice
    starts one job.
    """
    return id if attempt == 1 else f"{id}-r{attempt}"


def attempt_number(id: str, submission: str) -> int:
    """The attempt that `submission_id` made `submission` of."""
    return int(submission.removeprefix(id).removeprefix("-r") or 1)


class ClusterError(Exception):
    """Base of what a cluster answers."""


class Unreachable(ClusterError):
    """No answer, or none that means anything: nothing is known, so nothing may change."""


class AlreadySubmitted(ClusterError):
    """The cluster has a job with this submission id: the submission has happened."""


class SubmissionRefused(ClusterError):
    """The cluster understood and said no; trying again would be the same."""


class UnknownJob(ClusterError):
    """A healthy cluster has no job of this id."""


class JobState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED)


@dataclass(frozen=True)
class Job:
    """A job as its cluster sees it; times in ms since 1970."""

    submission_id: str
    state: JobState
    error_type: str | None = None
    message: str | None = None
    exit_code: int | None = None
    node_id: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it failed with the part of the cluster that ran it."""
        return self.state is JobState.FAILED and self.error_type in INFRASTRUCTURE_ERRORS

    @property
    def why(self) -> str:
        """Why it failed: the runner's own sentence where it left one, else the end of what Ray reports."""
        lines = [line.strip() for line in (self.message or "").splitlines() if line.strip()]
        own = [line.split("] ", 1)[1] for line in lines if line.startswith("[submarine] ") and "failed" in line]
        if own:
            return own[-1][:2000]
        if self.exit_code not in (None, 0) and self.error_type != RUNTIME_ENV_FAILURE:
            return f"The command exited with status {self.exit_code}."
        return (lines[-1] if lines else "The job failed.")[:2000]


@dataclass(frozen=True)
class Look:
    """What one healthy look at a cluster showed: jobs that it knows, which head it is, its living nodes."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    incarnation: str | None = None
    nodes: frozenset[str] = frozenset()
    now_ms: int = 0

    def is_active(self, job: Job | None) -> bool:
        """Whether the job can still do anything. Ray goes on calling a job running whose node has died."""
        return job is not None and not job.state.ended and not self.died_with_node(job)

    def is_settling(self, job: Job | None) -> bool:
        """Whether the job has ended so lately that its record must not be deleted yet."""
        if job is None or not job.state.ended or job.end_ms is None:
            return False
        return -LONGEST_SKEW_MS < self.now_ms - job.end_ms < SETTLE_MS

    def died_with_node(self, job: Job) -> bool:
        known = bool(self.nodes) and job.node_id is not None
        return known and job.state is JobState.RUNNING and job.node_id not in self.nodes


@dataclass(frozen=True)
class Submission:
    """What to start: the launch, and the packages it needs beside the cluster's own."""

    launch: Launch
    pip: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()


@dataclass(frozen=True)
class Capacity:
    """What a cluster has in all; `incarnation` changes when its head is started anew."""

    incarnation: str
    total: Resources
    largest_node: Resources
    nodes: frozenset[str]


class Driver(Protocol):
    """One cluster. Every method may raise Unreachable; all have timeouts."""

    def submit(self, submission: Submission) -> None:
        """Start a job. Raises AlreadySubmitted, SubmissionRefused."""

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        """Those of the jobs that the cluster knows."""

    def log(self, submission_id: str, patience: float = LOG_SECONDS) -> str:
        """All that the job has written, waiting `patience` seconds for it at most. Raises UnknownJob."""

    def follow_log(self, submission_id: str) -> AsyncIterator[str]:
        """What the job has written and goes on to write, in pieces, until it ends."""

    def stop(self, submission_id: str) -> None:
        """Ask the job to end; no error if it has, or is unknown."""

    def delete(self, submission_id: str) -> None:
        """Forget an ended job; no error if it is unknown."""

    def purge(self, experiment_id: str) -> None:
        """Remove the files that an experiment's attempts left, where this service can reach them."""

    def capacity(self) -> Capacity:
        """What the cluster has."""

    def applications(self) -> dict[str, Any]:
        """The state of Ray Serve: GET /api/serve/applications/."""

    def put_applications(self, config: dict[str, Any]) -> None:
        """Replace all served applications. Raises SubmissionRefused."""

    def close(self) -> None:
        """Let go of connections."""
