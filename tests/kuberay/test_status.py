"""KubeRay's states: each row of the table, and what users read of pods that do not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import DEADLINE_EXCEEDED, NOT_VALID, JobState, gist
from submarine_ray.clusters.drivers.kuberay import problems
from submarine_ray.clusters.drivers.kuberay.status import LOST, NEVER_STARTED, TABLE, verdict

P, R, OK, BAD, STOP = JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED
GRACE = "JobDeploymentStatusTransitionGracePeriodExceeded"
# jobDeploymentStatus, jobStatus, reason -> state, error, whether Ray is asked.
ROWS = [
    ("", "", "", P, None, False),
    ("Initializing", "", "", P, None, False),
    ("Initializing", "PENDING", "", P, None, False),
    ("Waiting", "", "", P, None, False),
    ("Suspending", "RUNNING", "", P, None, False),
    ("Suspended", "", "", P, None, False),
    ("Retrying", "FAILED", "", P, None, False),
    ("Running", "", "", P, None, False),
    ("Running", "PENDING", "", P, None, False),
    ("Running", "RUNNING", "", R, None, False),
    ("Running", "SUCCEEDED", "", R, None, False),
    ("Running", "FAILED", "", R, None, False),
    ("Running", "STOPPED", "", R, None, False),
    ("Complete", "SUCCEEDED", "", OK, None, False),
    ("Complete", "STOPPED", "", STOP, None, False),
    ("Complete", "FAILED", "", BAD, None, True),
    ("Complete", "", "", OK, None, True),
    ("Complete", "RUNNING", "", OK, None, True),
    ("Failed", "", "ValidationFailed", BAD, NOT_VALID, False),
    ("ValidationFailed", "", "ValidationFailed", BAD, NOT_VALID, False),
    ("ValidationFailed", "", "", BAD, NOT_VALID, False),
    ("Failed", "SUCCEEDED", GRACE, OK, None, False),
    ("Failed", "STOPPED", GRACE, STOP, None, False),
    ("Failed", "FAILED", GRACE, BAD, None, True),
    ("Failed", "PENDING", "DeadlineExceeded", BAD, DEADLINE_EXCEEDED, True),
    ("Failed", "RUNNING", "DeadlineExceeded", BAD, DEADLINE_EXCEEDED, True),
    ("Failed", "", "PreRunningDeadlineExceeded", BAD, NEVER_STARTED, False),
    ("Failed", "", "SubmissionFailed", BAD, NEVER_STARTED, True),
    ("Failed", "RUNNING", "SubmissionFailed", BAD, NEVER_STARTED, True),
    ("Failed", "RUNNING", "JobStatusCheckTimeoutExceeded", BAD, LOST, True),
    ("Failed", "STOPPED", "", STOP, None, False),
    ("Failed", "FAILED", "AppFailed", BAD, None, True),
    ("Failed", "SUCCEEDED", "", OK, None, False),
    ("Failed", "RUNNING", "", BAD, None, True),
    ("SomethingNew", "RUNNING", "", P, None, False),
]


@pytest.mark.parametrize(("deployment", "job", "reason", "state", "error", "asks"), ROWS)
def test_each_state(deployment: str, job: str, reason: str, state: JobState, error: str | None, asks: bool) -> None:
    found = verdict(deployment, job, reason)
    assert (found.state, found.error_type, found.ask_head) == (state, error, asks)


def test_no_row_is_without_a_test_or_a_line_in_the_documents() -> None:
    hit = {next(row for row in TABLE if row.covers(*given[:3])) for given in ROWS if given[0] != "SomethingNew"}
    assert hit == set(TABLE)
    text = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()
    lines = [f"| {r.deployment or '(none)'} | {_any(r.job)} | {_any(r.reason)} |" for r in TABLE]
    assert not [line for line in lines if line not in text]


def _any(value: str) -> str:
    return {"*": "any", "": "(none)"}.get(value, value)


def pending(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [condition]}}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", "free CPUs"),
        ("0/3 nodes are available: 3 Insufficient memory. preemption: ...", "free memory"),
        ("0/3 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu.", "free GPUs"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {spot: true}.", "taints"),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "labels"),
        ("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "StorageClass"),
        ('persistentvolumeclaim "data" not found', "volume is not there"),
        ("", "No node can take a pod."),
    ],
)
def test_why_a_pod_has_no_node(message: str, words: str) -> None:
    found = problems.of_pods([pending(message)])
    assert found is not None and found.reason == "Unschedulable" and words in found.message


def test_a_running_pod_has_no_problem() -> None:
    running = {"name": "ray-head", "image": "x", "state": {"running": {}}}
    assert (
        problems.of_pods([{"metadata": {"name": "p"}, "status": {"phase": "Running", "containerStatuses": [running]}}])
        is None
    )


def test_what_a_container_says_goes_before_what_the_scheduler_says() -> None:
    waiting = {"name": "w", "image": "a b", "state": {"waiting": {"reason": "InvalidImageName"}}}
    bad = {"metadata": {"name": "z"}, "status": {"phase": "Pending", "containerStatuses": [waiting]}}
    found = problems.of_pods([pending("Insufficient cpu"), bad])
    assert found is not None and found.reason == "ImagePullFailed"


def container(waiting: str | None, message: str = "", **more: Any) -> list[dict[str, Any]]:
    """A pod with one container that waits, or runs."""
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    one = {"name": "ray-head", "image": "nobody/nothing:1", "state": state, **more}
    return [{"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [one]}}]


def test_an_image_that_is_tried_again_and_again_is_one_problem() -> None:
    why = 'rpc error: code = NotFound desc = failed to pull image "nobody/nothing:1": not found'
    tried = problems.of_pods(container("ErrImagePull", why))
    waits = problems.of_pods(container("ImagePullBackOff", 'Back-off pulling image "nobody/nothing:1"'))
    newer = problems.of_pods(container("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {why}'))
    assert tried and waits and newer
    assert tried.message == newer.message == f"The image nobody/nothing:1 cannot be fetched ({why})."
    assert gist(tried.message) == gist(waits.message) and (bool(tried.mark), waits.mark) == (True, "")


ENDED = {"terminated": {"reason": "Error", "exitCode": 1}}


@pytest.mark.parametrize(
    ("waiting", "restarts", "ready", "is_told"),
    [
        ("CrashLoopBackOff", 1, False, True),
        (None, 2, False, True),  # it runs again, for how long?
        ("ContainerCreating", 2, False, True),
        (None, 2, True, False),  # it answers
        (None, 1, False, False),  # once is no loop
    ],
)
def test_a_container_that_ends_again_and_again(waiting: str | None, restarts: int, ready: bool, is_told: bool) -> None:
    found = problems.of_pods(container(waiting, restartCount=restarts, ready=ready, lastState=ENDED))
    assert (found is not None and found.reason == "CrashLoop" and "(status 1)" in found.message) is is_told
    if found and restarts == 2:
        more = problems.of_pods(container(waiting, restartCount=3, ready=ready, lastState=ENDED))
        assert more and more.message == found.message and more.mark != found.mark


def test_a_pod_that_goes_has_no_problem() -> None:
    (pod,) = container("CrashLoopBackOff")
    pod["metadata"]["deletionTimestamp"] = "2026-11-27T00:00:00Z"
    assert problems.of_pods([pod]) is None


RESTRICTED = 'violates PodSecurity "restricted:latest": runAsNonRoot != true'


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ('FailedCreateHeadPod\npods "x-head-{}" is forbidden: ' + RESTRICTED, "PodNotCreated",
         f"A pod cannot be made: {RESTRICTED}."),
        ('FailedCreateWorkerPod\npods "x-worker-{}" is forbidden: error looking up service account ml/train: '
         'serviceaccount "train" not found', "PodNotCreated",
         'A pod cannot be made: error looking up service account ml/train: serviceaccount "train" not found.'),
        ('FailedCreateHeadPod\nPod "x-head-{0}" is invalid: spec.hostname: Invalid value: "x-head-{0}"', "PodNotCreated",
         'A pod cannot be made: invalid: spec.hostname: Invalid value: "it".'),
        ('FailedCreateHeadPod\nadmission webhook "kueue" denied the request: no', "PodNotCreated",
         'A pod cannot be made: admission webhook "kueue" denied the request: no.'),
        ('FailedCreateWorkerPod\npods "x-{}" is forbidden: exceeded quota: team, requested: cpu=1, used: cpu=8, limited: cpu=8',
         "QuotaExceeded", "The namespace's quota team is used up (requested: cpu=1, used: cpu=8, limited: cpu=8)."),
    ],
)  # fmt: skip
def test_what_the_operator_repeats_is_said_without_its_random_names(text: str, reason: str, message: str) -> None:
    def at(pod: str) -> problems.Problem:
        condition = {"type": "ReplicaFailure", "status": "True", "message": text.format(pod)}
        found = problems.of_cluster({"status": {"conditions": [condition]}})
        assert found is not None
        return found

    first, second = at("abcde"), at("fghij")
    assert (first.reason, first.message) == (reason, message) == (second.reason, second.message)
    assert (first.mark != second.mark) is ("{" in text)
