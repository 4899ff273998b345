"""Maps a RayJob's status to the state of a job: one table, read from top to bottom.

Source: RayJob's status of KubeRay 1.7.0 (`ray-operator/apis/ray/v1/rayjob_types.go`), and how a real one behaved. The
deployment status decides; the job status alone may be behind, or ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from submarine_ray.clusters.drivers.base import DEADLINE_EXCEEDED, NOT_VALID, JobState

LOST = "JOB_SUPERVISOR_ACTOR_DIED"
NEVER_STARTED = "JOB_SUPERVISOR_ACTOR_START_FAILURE"
ANY = "*"


@dataclass(frozen=True)
class Verdict:
    """What a state means. `ask_head`: KubeRay may be wrong or tells too little, so Ray itself is asked first."""

    state: JobState
    message: str = ""
    error_type: str | None = None
    ask_head: bool = False


@dataclass(frozen=True)
class Row:
    """A state of KubeRay's; `*` stands for any."""

    deployment: str
    job: str
    reason: str
    verdict: Verdict

    def covers(self, deployment: str, job: str, reason: str) -> bool:
        pairs = ((self.deployment, deployment), (self.job, job), (self.reason, reason))
        return all(mine in (ANY, theirs) for mine, theirs in pairs)


_PENDING, _RUNNING = JobState.PENDING, JobState.RUNNING
_OK, _BAD, _STOPPED = JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED
_VALIDATION = "KubeRay refuses the RayJob"
_SUBMISSION = "KubeRay could not hand the job to its Ray cluster"
_CHECK = "KubeRay lost touch with the Ray cluster of the job"
_GRACE = "The job had ended, and KubeRay did not notice in time"

TABLE = (
    Row("", ANY, ANY, Verdict(_PENDING, "KubeRay has not looked at the job yet")),
    Row("Initializing", ANY, ANY, Verdict(_PENDING, "The Ray cluster of the job is starting")),
    Row("Waiting", ANY, ANY, Verdict(_PENDING, "KubeRay waits for the job to be named")),
    Row("Suspending", ANY, ANY, Verdict(_PENDING, "The queue takes the job's resources back")),
    Row("Suspended", ANY, ANY, Verdict(_PENDING, "The job waits in its queue")),
    Row("Retrying", ANY, ANY, Verdict(_PENDING, "KubeRay starts the job once more")),
    Row("Running", "", ANY, Verdict(_PENDING, "The Ray cluster is there, and gets the job")),
    Row("Running", "PENDING", ANY, Verdict(_PENDING, "Ray has the job, and starts it")),
    # SUCCEEDED and the like come before Complete while the submitter's pod ends; the next state is a moment away.
    Row("Running", ANY, ANY, Verdict(_RUNNING)),
    Row("Complete", "SUCCEEDED", ANY, Verdict(_OK)),
    Row("Complete", "STOPPED", ANY, Verdict(_STOPPED)),
    Row("Complete", "FAILED", ANY, Verdict(_BAD, ask_head=True)),
    Row("Complete", ANY, ANY, Verdict(_OK, "KubeRay calls the job complete", ask_head=True)),
    Row("Failed", ANY, "ValidationFailed", Verdict(_BAD, _VALIDATION, NOT_VALID)),
    Row("ValidationFailed", ANY, ANY, Verdict(_BAD, _VALIDATION, NOT_VALID)),
    Row("Failed", "SUCCEEDED", "JobDeploymentStatusTransitionGracePeriodExceeded", Verdict(_OK, _GRACE)),
    Row("Failed", "STOPPED", "JobDeploymentStatusTransitionGracePeriodExceeded", Verdict(_STOPPED, _GRACE)),
    Row("Failed", ANY, "JobDeploymentStatusTransitionGracePeriodExceeded", Verdict(_BAD, _GRACE, ask_head=True)),
    # The deadline leaves the Ray job running; if it does, it is still ours to stop.
    Row("Failed", ANY, "DeadlineExceeded", Verdict(_BAD, "It ran longer than its timeout", DEADLINE_EXCEEDED, True)),
    Row("Failed", ANY, "PreRunningDeadlineExceeded",
        Verdict(_BAD, "The job's Ray cluster did not start in time", NEVER_STARTED)),
    # The submitter may die while the job lives (kuberay #5100), or before it was handed over.
    Row("Failed", ANY, "SubmissionFailed", Verdict(_BAD, _SUBMISSION, NEVER_STARTED, True)),
    Row("Failed", ANY, "JobStatusCheckTimeoutExceeded", Verdict(_BAD, _CHECK, LOST, True)),
    Row("Failed", "STOPPED", ANY, Verdict(_STOPPED)),
    Row("Failed", "FAILED", "AppFailed", Verdict(_BAD, ask_head=True)),
    Row("Failed", "SUCCEEDED", ANY, Verdict(_OK, "KubeRay failed after the job had succeeded")),
    Row("Failed", ANY, ANY, Verdict(_BAD, "KubeRay calls the job failed", ask_head=True)),
)  # fmt: skip
# A state of a later KubeRay: nothing is concluded from it.
_UNKNOWN = Verdict(_PENDING, "KubeRay reports a state that this version does not know")


def verdict(deployment: str, job: str, reason: str) -> Verdict:
    """What the three fields of a RayJob's status mean."""
    return next((row.verdict for row in TABLE if row.covers(deployment, job, reason)), _UNKNOWN)


def meaning(status: Mapping[str, Any]) -> Verdict:
    """The same of the status itself."""
    return verdict(*(str(status.get(key) or "") for key in ("jobDeploymentStatus", "jobStatus", "reason")))
