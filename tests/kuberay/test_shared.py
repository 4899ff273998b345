"""What is said of a shared cluster while nobody answers in it yet."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from tests.conftest import wait_until
from tests.kuberay.apiserver import now
from tests.kuberay.conftest import Kube


def message(kube: Kube) -> str:
    return str(kube.service.get(f"/api/v1/cluster/{kube.cluster}").json()["result"]["message"])


def test_a_shared_cluster_that_starts_is_said_to_start(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(mode="shared", workers=[{"name": "w", "replicas": 1}])
    (made,) = wait_until(lambda: kube.store.list("rayclusters")[0], 15, "the RayCluster")
    name = made["metadata"]["name"]
    token = base64.b64encode(b"t").decode()
    kube.store.create("secrets", {"metadata": {"name": name}, "data": {"auth_token": token}})
    wait_until(lambda: message(kube) == "the RayCluster is starting", 15, "no HTTP status of a service proxy")
    labels = {**made["metadata"]["labels"], "ray.io/cluster": name, "ray.io/node-type": "head"}
    waiting = {"name": "ray-head", "image": "x:1", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
    status: dict[str, Any] = {"phase": "Pending", "containerStatuses": [waiting]}
    kube.store.create("pods", {"metadata": {"name": f"{name}-head", "labels": labels}, "status": status})
    wait_until(lambda: "x:1 cannot be fetched" in message(kube), 15, "what keeps it from starting goes first")
    kube.store.patch("pods", f"{name}-head", {"status": {"phase": "Running", "containerStatuses": None}}, status=True)
    condition = {"type": "HeadPodReady", "status": "True", "lastTransitionTime": now()}
    kube.store.patch("rayclusters", name, {"status": {"conditions": [condition]}}, status=True)
    wait_until(lambda: "nobody answers behind" in message(kube), 15, "a head that is ready and does not answer")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_with_nobody_behind_it(status: int) -> None:
    import httpx

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"message": 'no endpoints available for service "c-head-svc"'})

    jobs = RayJobs(Dashboard("http://proxy"), None, 1)  # type: ignore[arg-type]
    jobs._http = httpx.Client(base_url="http://proxy", transport=httpx.MockTransport(answer))
    with pytest.raises(
        Unreachable, match=r'nobody answers behind http://proxy .*no endpoints available for service "c'
    ):
        jobs.capacity()
