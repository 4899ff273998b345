"""The whole path with an operator, and a stand-in for Ray in the head pods: what a real KubeRay was seen to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from submarine_ray.clusters.drivers.kuberay import dedicated, silence, status_verifier
from tests.conftest import wait_until
from tests.kuberay.apiserver import ENFORCE
from tests.kuberay.conftest import Kube
from tests.kuberay.heads import QuickHead
from tests.kuberay.operator import Operator

GANG = {"meta": {"name": "gang", "framework": "PyTorch", "cmd": "python train.py"},
        "spec": {"Master": {"resources": "cpu=1"}, "Worker": {"replicas": 2, "resources": "cpu=1"}}}  # fmt: skip
SCRIPT = {"meta": {"name": "script", "framework": "Ray", "cmd": "python train.py"},
          "spec": {"Worker": {"resources": "cpu=1"}}, "kubernetes": {"maxWorkers": 4}}  # fmt: skip


@pytest.fixture
def operator(kube: Kube) -> Iterator[Operator]:
    made = Operator(kube.server, QuickHead)
    yield made
    made.away = False
    made.close()


def cluster_of(kube: Kube, id: str) -> str:
    def look() -> Any:
        return ((kube.store.find("rayjobs", id) or {}).get("status") or {}).get("rayClusterName")

    return str(wait_until(look, 15, "it has a Ray cluster"))


def head_of(kube: Kube, operator: Operator, id: str) -> QuickHead:
    cluster = cluster_of(kube, id)
    return wait_until(lambda: operator.heads.get(cluster), 15, "its head runs")  # type: ignore[no-any-return]


def times(kube: Kube, id: str) -> dict[str, int]:
    """How often each thing has happened."""
    return {event["reason"]: event["count"] for event in kube.events(id)}


def image(reason: str, message: str) -> dict[str, Any]:
    waiting = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "ray-worker", "image": "no/such:1", "state": waiting}]}


TRIED = image("ErrImagePull", "rpc error: code = NotFound desc = no/such:1: not found")
WAITS = image("ImagePullBackOff", 'Back-off pulling image "no/such:1"')


def test_it_starts_when_all_pods_run_and_all_goes_with_it(kube: Kube, operator: Operator) -> None:
    """A worker's image is missing: the head is ready, and the job does not start."""
    operator.pods.worker_shows = [TRIED, WAITS]
    id = kube.create(**GANG)
    wait_until(lambda: times(kube, id).get("ImagePullFailed", 0) > 2, 60, "that it is tried again and again is counted")
    assert [event["reason"] for event in kube.events(id)].count("ImagePullFailed") == 1
    told = kube.get(id)
    assert told["status"] == "Created" and "no/such:1 cannot be fetched (rpc error" in told["message"]
    status = kube.store.get("rayjobs", id)["status"]
    assert status["jobDeploymentStatus"] == "Initializing" and operator.heads[status["rayClusterName"]].jobs == {}
    operator.pods.worker_shows = []
    kube.wait(id, "Running")
    assert sum("-worker-" in pod["metadata"]["name"] for pod in kube.store.list("pods")[0]) == 3
    kube.store.collecting.clear()
    head_of(kube, operator, id).set(id, "SUCCEEDED")
    kube.wait(id, "Succeeded")
    wait_until(lambda: kube.store.find("rayjobs", id) is None, 15, "the RayJob goes")
    assert kube.store.list("pods")[0]  # they take their time
    kube.store.collecting.set()
    wait_until(lambda: not kube.store.list("pods")[0] and not kube.store.list("rayclusters")[0], 15, "nothing is left")


def test_pods_that_the_namespace_refuses(kube: Kube, operator: Operator) -> None:
    operator.hold.add("rayclusters")
    id = kube.create()
    cluster = cluster_of(kube, id)
    kube.server.namespace_labels = {ENFORCE: "restricted"}  # after the RayJob was made
    operator.hold.clear()
    wait_until(lambda: times(kube, id).get("PodNotCreated", 0) > 2, 20, "each try is counted")
    message = kube.get(id)["message"]
    assert message == 'A pod cannot be made: violates PodSecurity "restricted:latest": runAsNonRoot != true.'
    assert cluster not in message and "Failed" not in message
    kube.server.namespace_labels = {}
    kube.wait(id, "Running")


def test_an_operator_that_is_away_for_long(kube: Kube, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(dedicated, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(dedicated, "GRACE_MARGIN", 0)
    runs = kube.create(gracePeriod=1)
    kube.wait(runs, "Running")
    operator.away = True
    waits = kube.create()
    wait_until(lambda: "OperatorSilent" in times(kube, waits), 15, "that nobody looks at it is said")
    kube.service.post(f"/api/v1/experiment/{runs}/stop")
    kube.service.delete(f"/api/v1/experiment/{waits}")
    assert kube.wait(runs, "Failed", 60)["reason"] == "Stopped"
    wait_until(lambda: kube.store.find("rayclusters", cluster_of(kube, runs)) is None, 20, "its pods go all the same")
    operator.away = False
    wait_until(lambda: not kube.store.list("rayjobs")[0], 20, "the rest goes when it is back")


def test_a_head_whose_autoscaler_ends(kube: Kube, operator: Operator) -> None:
    id = kube.create(**SCRIPT)
    kube.wait(id, "Running")
    operator.pods.end_autoscaler(cluster_of(kube, id))
    wait_until(lambda: "AutoscalerEnded" in times(kube, id), 15, "that no workers will come is said")
    head_of(kube, operator, id).set(id, "SUCCEEDED")
    kube.wait(id, "Succeeded")


def test_a_shared_cluster_whose_workers_lack(make_kube: Callable[..., Kube]) -> None:
    """It answers, and so it is healthy; its message says what is missing."""
    kube = make_kube(mode="shared", workers=[{"name": "w", "replicas": 1, "maxReplicas": 3}])
    operator = Operator(kube.server, QuickHead)
    operator.pods.worker_shows = [TRIED]

    def shown() -> dict[str, Any]:
        return dict(kube.service.get(f"/api/v1/cluster/{kube.cluster}").json()["result"])

    try:
        wait_until(
            lambda: shown()["healthy"] and "no/such:1 cannot" in (shown()["message"] or ""), 20, "the worker's image"
        )
        operator.pods.worker_shows = []
        wait_until(lambda: shown()["healthy"] and shown()["message"] is None, 20, "all is well")
        (cluster,) = operator.heads
        operator.pods.end_autoscaler(cluster)
        wait_until(
            lambda: "Ray's autoscaler has ended (status 1)" in (shown()["message"] or ""), 20, "what is to be done"
        )
        assert shown()["healthy"] and f"kubectl delete pod -n ml {cluster}-head-" in shown()["message"]
    finally:
        operator.close()


def test_what_the_head_forgot_the_operator_submits_again_and_the_runner_refuses(kube: Kube, operator: Operator) -> None:
    """The head is ready all along: neither KubeRay's status nor ours shows that it has lost the job."""
    operator.resubmit_seconds = 0.2
    id = kube.create(maxRetries=1)
    kube.wait(id, "Running", 60)
    head = head_of(kube, operator, id)
    assert kube.service.post(f"/api/v1/experiment/{id}/begin?submission={id}&run=first").json()["result"]["mayBegin"]
    head.jobs.clear()
    wait_until(lambda: id in head.jobs, 10, "it is submitted again")
    answer = kube.service.post(f"/api/v1/experiment/{id}/begin?submission={id}&run=second").json()["result"]
    assert not answer["mayBegin"] and "begun before" in answer["why"]
    said = "Job entrypoint command failed with exit code 214, last available logs:"
    head.set(id, "FAILED", message=said, driver_exit_code=214)
    kube.job(f"{id}-r2")
    assert "lost" in times(kube, id)


def test_a_dashboard_that_is_silent_for_long(kube: Kube, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """KubeRay gives the job up after 300 s, though its head pod is ready; we ask for a while, and then so do we."""
    monkeypatch.setattr(status_verifier, "LOOK_MS", 100)
    monkeypatch.setattr(status_verifier, "VERIFY_SECONDS", 3.0)
    operator.silence_seconds = 0.5
    id = kube.create(maxRetries=1)
    kube.wait(id, "Running", 60)
    head_of(kube, operator, id).close()
    wait_until(lambda: kube.store.get("rayjobs", id)["status"].get("reason") == "JobStatusCheckTimeoutExceeded", 15,
               "KubeRay has given up")  # fmt: skip
    assert kube.get(id)["status"] == "Running"
    kube.job(f"{id}-r2")
    assert "lost" in times(kube, id)
