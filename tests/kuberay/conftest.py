"""What the Kubernetes tests share."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters import perform
from submarine_ray.clusters.drivers.kuberay.api import KubeApi
from submarine_ray.clusters.drivers.kuberay.credentials import Credentials
from submarine_ray.clusters.drivers.kuberay.dedicated import DedicatedClusters
from submarine_ray.clusters.drivers.kuberay.namespace import DriverContext, Namespace
from submarine_ray.clusters.launches import Launches
from submarine_ray.spec.clusters import KubeRayClusterSpec
from tests.conftest import wait_until
from tests.kuberay.apiserver import ApiServer, Object, now
from tests.kuberay.heads import ScriptedHead
from tests.packages import packages_at

# For drivers without a service around them: its tokens, and no launches.
NO_LAUNCHES = Launches(None, None, Tokens(b"key"), "http://127.0.0.1:32080")  # type: ignore[arg-type]


def registration(server: ApiServer, name: str = "kube", **more: Any) -> dict[str, Any]:
    """The body that registers the simulated cluster."""
    return {
        "name": name,
        "kind": "kuberay",
        "kubeconfig": yaml.safe_dump(server.kubeconfig()),
        "namespace": server.namespace,
        "image": "127.0.0.1:9/rayproject/ray:2.60.0-py311",  # no test asks a registry out in the world
        **more,
    }


def kubeconfig_file(directory: Path, document: dict[str, Any]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "config"
    file.write_text(yaml.safe_dump(document))
    return file


def dedicated(server: ApiServer, directory: Path) -> tuple[Namespace, DedicatedClusters]:
    """A driver of the simulated namespace by itself, without a service around it."""
    spec = KubeRayClusterSpec(name="k", kind="kuberay", namespace=server.namespace)
    api = KubeApi(Credentials(text=yaml.safe_dump(server.kubeconfig())), 5)
    at = Namespace(DriverContext(spec, "uid-12345678", api, packages_at(directory), 5, NO_LAUNCHES, lambda ids: None))
    return at, DedicatedClusters(at)


class Kube:
    """A simulated Kubernetes, registered with a service; the test plays operator by writing statuses."""

    def __init__(self, service: httpx.Client, server: ApiServer, **more: Any) -> None:
        self.service = service
        self.server = server
        self.store = server.store
        self.head = ScriptedHead()
        self.cluster = f"kube-{uuid.uuid4().hex[:8]}"
        answer = service.post("/api/v1/cluster", json=registration(server, self.cluster, **more))
        assert answer.status_code == 200, answer.text

    def create(self, **more: Any) -> str:
        spec = {
            "meta": {"name": "test", "framework": "Shell", "cmd": "true"},
            "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1Gi"}},
            "cluster": self.cluster,
            **more,
        }
        answer = self.service.post("/api/v1/experiment", json=spec)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["result"]["experimentId"])

    def get(self, id: str) -> dict[str, Any]:
        return dict(self.service.get(f"/api/v1/experiment/{id}").json()["result"])

    def events(self, id: str) -> list[dict[str, Any]]:
        return list(self.service.get(f"/api/v1/experiment/{id}/events").json()["result"])

    def reasons(self, id: str) -> list[str]:
        return [event["reason"] for event in self.events(id)]

    def wait(self, id: str, status: str, timeout: float = 15) -> dict[str, Any]:
        return dict(
            wait_until(
                lambda: (e := self.get(id))["status"] == status and e, timeout, f"{id} is {status}: {self.get(id)}"
            )
        )

    def job(self, name: str, timeout: float = 15) -> Object:
        return dict(wait_until(lambda: self.store.find("rayjobs", name), timeout, f"the RayJob {name}"))

    def status(self, name: str, **status: Any) -> None:
        self.store.patch("rayjobs", name, {"status": status}, status=True)

    def start(self, name: str, ready: bool = True) -> str:
        """As KubeRay: a RayCluster for a RayJob, its token, a head pod that runs; the cluster's name."""
        job, cluster = self.job(name), f"{name}-abcde"
        meta = {"namespace": self.server.namespace, "labels": job["metadata"]["labels"]}
        owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": name, "uid": job["metadata"]["uid"]}
        made = self.store.create("rayclusters", {
            "metadata": {"name": cluster, **meta, "ownerReferences": [owner]}, "spec": {},
        })  # fmt: skip
        owned = [{"kind": "RayCluster", "name": cluster, "uid": made["metadata"]["uid"]}]
        token = base64.b64encode(self.head.token.encode()).decode()
        self.store.create(
            "secrets", {"metadata": {"name": cluster, "ownerReferences": owned}, "data": {"auth_token": token}}
        )
        labels = {**meta["labels"], "ray.io/cluster": cluster, "ray.io/node-type": "head"}
        self.store.create("pods", {"metadata": {"name": f"{cluster}-head", "labels": labels, "ownerReferences": owned},
                                   "status": {"phase": "Pending"}})  # fmt: skip
        self.status(name, jobDeploymentStatus="Initializing", rayClusterName=cluster, jobStatus="", startTime=now())
        if ready:
            self.server.upstreams[f"{cluster}-head-svc"] = self.head.address
            self.ready(cluster, True)
        return cluster

    def ready(self, cluster: str, ready: bool) -> None:
        conditions = [{"type": "HeadPodReady", "status": str(ready), "lastTransitionTime": now()}]
        self.store.patch("rayclusters", cluster, {"status": {"conditions": conditions}}, status=True)

    def run(self, name: str) -> str:
        """A RayJob whose job runs, in a head that knows it."""
        cluster = self.start(name)
        self.head.set(name, "RUNNING")
        self.status(name, jobDeploymentStatus="Running", jobStatus="RUNNING", rayJobInfo={"startTime": now()})
        return cluster

    def succeed(self, name: str) -> None:
        self.head.set(name, "SUCCEEDED")
        self.status(name, jobDeploymentStatus="Complete", jobStatus="SUCCEEDED", endTime=now())

    def close(self) -> None:
        self.server.come_up()
        self.service.delete(f"/api/v1/cluster/{self.cluster}?force=true")
        self.head.close()


@pytest.fixture(autouse=True)
def clusters_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every five seconds is often enough for people, and too long to wait for in a test."""
    monkeypatch.setattr(perform, "PAUSE_MS", 500)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


@pytest.fixture
def make_kube(api: httpx.Client, server: ApiServer) -> Iterator[Callable[..., Kube]]:
    made: list[Kube] = []

    def make(**more: Any) -> Kube:
        made.append(Kube(api, server, **more))
        return made[-1]

    yield make
    for kube in made:
        kube.close()


@pytest.fixture
def kube(make_kube: Callable[..., Kube]) -> Kube:
    return make_kube()
