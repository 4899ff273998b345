"""The interface of all drivers of clusters, and the errors that they raise.

These errors never reach HTTP: the reconcilers turn them into states and events.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict

from submarine_ray.clusters.drivers.ray_api import ActorOptions, ApplicationDetails, Deployment, Replica, ServeConfig
from submarine_ray.core.events import gist as gist
from submarine_ray.spec import memory
from submarine_ray.spec.endings import describe, raised
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.kubernetes import JobOptions
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.quantities import Resources

LOG_SECONDS = 30.0
# Who wrote a line of a job's log.
_WHO = re.compile(r"^\[[\w.-]+\] ")
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
# KubeRay's own reasons, beside Ray's: the job ran longer than it may; what was submitted cannot run at all.
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
NOT_VALID = "NOT_VALID"
# What Kubernetes alone has seen: a pod of the job was killed at its limit. The job's message says so.
OUT_OF_MEMORY = "OUT_OF_MEMORY"
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


def size_of(deployment: Deployment) -> Resources:
    """What a replica of a deployment asks for, from Serve's configuration."""
    options: ActorOptions = deployment.get("ray_actor_options") or {}
    cpu, memory, gpu = options.get("num_cpus"), options.get("memory"), options.get("num_gpus")
    return Resources(float(cpu or 0), int(memory or 0), float(gpu or 0))


class ClusterError(Exception):
    """Base of what a cluster answers."""


class Unreachable(ClusterError):
    """No answer, or none that means anything: nothing is known, so nothing may change."""


class AlreadySubmitted(ClusterError):
    """The cluster has a job with this submission id: the submission has happened."""


class SubmissionRefused(ClusterError):
    """The cluster has refused the submission for good: trying again would not help."""

    reason = "SubmissionRefused"

    def sentence(self) -> str:
        """The message for the user."""
        return f"The cluster refused the job: {self}"


class PackagesRefused(SubmissionRefused):
    """The packages that the job asks for do not exist, or do not fit together."""

    reason = "EnvironmentFailed"


class CodeRefused(SubmissionRefused):
    """The uploaded code is gone, or cannot be unpacked; the message is a whole sentence."""

    reason = "CodeSyncFailed"

    def sentence(self) -> str:
        return str(self)


class UnknownJob(ClusterError):
    """A healthy cluster has no job of this id."""


class Blocked(ClusterError):
    """The cluster refuses for now, such as for a quota that is used up or a right that is missing: try again later."""

    def __init__(self, reason: str, message: str, pause_ms: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.pause_ms = pause_ms


class Superseded(ClusterError):
    """Nothing was written: a newer generation is there, whose number is `number`, or may be there (None)."""

    def __init__(self, why: str, number: int | None = None) -> None:
        super().__init__(f"A newer generation is not overwritten: {why}.")
        self.number = number


@dataclass(frozen=True)
class Fence:
    """The generation of something that is declared as a whole: written with it, and shown again by the cluster.

    `number` grows with each change of what is desired; `digest` tells what was made of it. `is_held`: whether who
    writes still holds the lease that lets it write, asked immediately before.
    """

    number: int = 0
    digest: str = ""
    is_held: Callable[[], bool] = field(default=lambda: True, compare=False)


class Served(TypedDict):
    """The state of Ray Serve on a cluster, as of GET /api/serve/applications/, without the application of the fence.

    `declared` are the names of the applications of the last PUT, and `fence` is its generation; the oldest one where
    applications are put one by one.
    """

    applications: dict[str, ApplicationDetails]
    declared: list[str]
    fence: Fence
    proxies: NotRequired[dict[str, JsonObject]]


def nothing_served() -> Served:
    return {"applications": {}, "declared": [], "fence": Fence()}


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
class Problem:
    """Why a job does not get on: `reason` is one CamelCase word, `message` a sentence for who submitted it; what may
    change while the cause stays the same stands in parentheses. `mark` changes each time that it comes again.
    """

    reason: str
    message: str
    mark: str = ""


@dataclass(frozen=True)
class Job:
    """A job as its cluster sees it; times in ms since 1970. `again_ms`: look again so soon, nothing will tell."""

    submission_id: str
    state: JobState
    error_type: str | None = None
    message: str | None = None
    exit_code: int | None = None
    node_id: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    problem: Problem | None = None
    again_ms: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether it failed with the part of the cluster that ran it."""
        return self.state is JobState.FAILED and self.error_type in INFRASTRUCTURE_ERRORS

    @property
    def out_of_memory(self) -> str | None:
        """That it failed for lack of memory, in a sentence; None if it did not."""
        if self.state is not JobState.FAILED:
            return None
        if self.error_type == OUT_OF_MEMORY:
            return self.message
        # Only of a failure of Ray's own is the message Ray's; else it ends with the job's log, where scripts write.
        found = memory.of_ray(self.message) if self.is_lost else memory.of_runner(self.message)
        return found and found[0].upper() + found[1:]

    @property
    def why(self) -> str:
        """Why it failed: the runner's own sentence where it left one, else the end of what Ray reports."""
        lines = [line.strip() for line in (self.message or "").splitlines() if line.strip()]
        own = [line.split("] ", 1)[1] for line in lines if line.startswith("[submarine] ") and "failed" in line]
        if own:
            return own[-1][:2000]
        if self.exit_code and self.error_type != RUNTIME_ENV_FAILURE:
            exception = raised([_WHO.sub("", line) for line in (self.message or "").splitlines()])
            said = f"he command {describe(self.exit_code)}"
            return f"{exception} (t{said})" if exception else f"T{said}."
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

    def leftover(self, ids: Iterable[str]) -> tuple[str, Job | None] | None:
        """The first of these submissions that still runs, or whose record can be deleted now; with its job."""
        jobs = ((one, self.jobs.get(one)) for one in ids)
        return next((found for found in jobs if not self.is_settling(found[1])), None)

    def died_with_node(self, job: Job) -> bool:
        known = bool(self.nodes) and job.node_id is not None
        return known and job.state is JobState.RUNNING and job.node_id not in self.nodes


@dataclass(frozen=True)
class Submission:
    """What to start: the launch, and the packages it needs beside the cluster's own. The rest matters to clusters that
    run containers: `images` by role, and how its pods are to be.
    """

    launch: Launch
    pip: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    image: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    pods: JobOptions = field(default_factory=JobOptions)
    owner: str | None = None
    team: str | None = None
    timeout_seconds: int | None = None


@dataclass(frozen=True)
class Capacity:
    """What a cluster has in all; `incarnation` changes when its head is started anew. A `total` or `largest_node` of
    None has no bound that is known, and then nothing queues here; else `starting` jobs may be starting at once. `note`
    is what users should know of a cluster that answers. `grace`: the seconds that processes have to end when their node
    is taken away, where all experiments have the same.
    """

    incarnation: str
    total: Resources | None
    largest_node: Resources | None
    nodes: frozenset[str] = frozenset()
    starting: int = 8
    note: str | None = None
    grace: int | None = None


@dataclass(frozen=True)
class Mark:
    """How much of a job's log is known: bytes, and newlines in them."""

    offset: int = 0
    lines: int = 0


BEGINNING = Mark()


class LogBeganAnew(ClusterError):
    """A job's log is shorter than what was read of it: it is another."""


class Driver(Protocol):
    """One cluster. Every method may raise Unreachable; all have timeouts."""

    @property
    def watches(self) -> bool:
        """Whether the driver watches the cluster and reports changes, so that polling is hardly needed."""

    def submit(self, submission: Submission) -> None:
        """Start a job. Raises AlreadySubmitted, SubmissionRefused, Blocked."""

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        """Those of the jobs that the cluster knows."""

    def read_log(self, submission_id: str, offset: int = 0, patience: float = LOG_SECONDS) -> Iterator[bytes]:
        """What the job has written so far, from a byte on, in pieces; it waits `patience` seconds at most for the next.
        Raises UnknownJob, LogBeganAnew.
        """

    def follow_log(self, submission_id: str, since: Mark = BEGINNING) -> AsyncIterator[bytes]:
        """The log after `since`, in pieces, followed until the job ends."""

    def stop(self, submission_id: str) -> None:
        """Ask the job to end; no error if it has, or is unknown."""

    def delete(self, submission_id: str) -> None:
        """Forget an ended job; no error if it is unknown."""

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        """The files with what an attempt's replicas logged, by replica, where this service can reach them."""

    def purge(self, experiment_id: str) -> None:
        """Remove the files that an experiment's attempts left, where this service can reach them."""

    def capacity(self) -> Capacity:
        """What the cluster has."""

    def maintain(self, fence: Fence, /) -> None:
        """Repair what the driver itself has created on the cluster, and delete leftovers. Raises Superseded."""

    def applications(self) -> Served:
        """The state of Ray Serve."""

    def put_applications(self, config: ServeConfig, fence: Fence) -> None:
        """Replace all served applications. Raises SubmissionRefused, Superseded."""

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        """Prometheus texts of the nodes with one of Serve's proxies or a replica of `applications`; none where they
        cannot be had from here.
        """

    def replicas(self, endpoint: str) -> list[Replica]:
        """The processes that answer for an endpoint, as Serve's REST API shows them; none if it is unknown."""

    def replica_log(self, endpoint: str, replica_id: str, lines: int) -> str:
        """The last lines that a replica has logged and written; none while it starts. Raises UnknownJob."""

    def dispose(self) -> None:
        """Delete everything that this registration has created on the cluster."""

    def close(self) -> None:
        """Close connections."""
