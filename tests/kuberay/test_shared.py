"""What is said of a shared cluster while nobody answers in it yet."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from submarine_ray.clusters.drivers.base import Fence, Superseded, Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.kuberay import fencing
from submarine_ray.clusters.drivers.kuberay.api import KubeApi
from submarine_ray.clusters.drivers.kuberay.credentials import Credentials
from submarine_ray.clusters.drivers.kuberay.namespace import DriverContext, Namespace
from submarine_ray.clusters.drivers.kuberay.shared import SharedCluster
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.spec.clusters import KubeRayClusterSpec, WorkerGroup
from tests.conftest import wait_until
from tests.kuberay.apiserver import ApiServer, now
from tests.kuberay.conftest import NO_LAUNCHES, Kube, packages_at


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


def test_an_older_registration_never_overwrites_a_newer_one(server: ApiServer, tmp_path: Path) -> None:
    """Two control services; one of them goes on with what it had read before the registration was changed."""

    def driver(name: str, workers: int) -> SharedCluster:
        group = WorkerGroup(name="w", replicas=workers)
        spec = KubeRayClusterSpec(name="k", kind="kuberay", namespace=server.namespace, mode="shared", workers=[group])
        api = KubeApi(Credentials(text=yaml.safe_dump(server.kubeconfig())), 5)
        context = DriverContext(
            spec, "uid-12345678", api, packages_at(tmp_path / name), 5, NO_LAUNCHES, lambda ids: None
        )
        return SharedCluster(Namespace(context))

    def there() -> tuple[int, str]:
        (found,) = server.store.list("rayclusters")[0]
        (group,) = found["spec"]["workerGroupSpecs"]
        return group["minReplicas"], found["metadata"]["annotations"]["submarine-ray/fence"].strip()

    old, new = driver("old", 1), driver("new", 2)
    old.maintain(Fence(5))
    assert there() == (1, "5")
    new.maintain(Fence(6))
    assert there() == (2, "6")
    wait_until(lambda: fencing.of(old._at.clusters.get(old.name) or {"metadata": {}}).number == 6, 5, "its watch tells")
    with pytest.raises(Superseded) as refused:
        old.maintain(Fence(5))
    assert refused.value.number == 6
    with pytest.raises(Superseded):
        old.maintain(Fence(7, is_held=lambda: False))
    assert there() == (2, "6")
    before = server.store.list("rayclusters")[0][0]["spec"]
    new.maintain(Fence(7))  # nothing of the object changes but the number: its size is the autoscaler's
    assert there() == (2, "7") and server.store.list("rayclusters")[0][0]["spec"] == before
    for one in (old, new):
        one.close()
