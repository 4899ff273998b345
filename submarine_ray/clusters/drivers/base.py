"""What the reconcilers ask of a cluster, whatever its kind, and how a cluster's refusals are told apart.

These errors never reach HTTP: the reconcilers turn them into states and events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from submarine_ray.spec.launch import Launch
from submarine_ray.spec.quantities import Resources

LOG_SECONDS = 30.0


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
