"""Endpoints with an operator that takes its time: Services come late, an upgrade has two Ray clusters, old pods stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import Fence
from submarine_ray.serving import applications
from tests.conftest import wait_until
from tests.kuberay.apiserver import ApiServer
from tests.kuberay.conftest import Kube, dedicated
from tests.kuberay.heads import QuickHead
from tests.kuberay.operator import Operator

NAME = "m-1"
LONG = 3600.0


class Endpoint:
    """One endpoint, asked for without a service; everything else is the operator's."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self.server, self.store = server, server.store
        self.operator = Operator(server, QuickHead)
        _, self.driver = dedicated(server, directory)

    def ask(self, replicas: int, memory: int = 0) -> None:
        wanted = applications.Desired(NAME, "m", 1, "models:/m/1", replicas, 0.25, 0, memory)
        self.driver.put_applications(applications.configuration([wanted], [], "http://service/mlflow", {}), Fence())

    def state(self) -> tuple[str, str]:
        found = self.driver.applications()["applications"].get(NAME) or {"status": "", "message": ""}
        return found["status"], found["message"]

    def waits_for(self, status: str, message: str) -> None:
        def look() -> bool:
            self.driver.maintain(Fence())
            found = self.state()
            return found[0] == status and message in found[1]

        wait_until(look, 15, f"{status} {message!r}")

    def cluster(self, side: str) -> str:
        status = self.store.get("rayservices", NAME).get("status") or {}
        return str((status.get(f"{side}ServiceStatus") or {}).get("rayClusterName") or "")

    def asked_at(self) -> str | None:
        """Who gets the requests to the endpoint's address."""
        return self.server.upstreams.get(f"{NAME}-serve-svc")

    def pods(self, cluster: str) -> int:
        return len(self.operator.pods.workers(cluster))

    def where(self, cluster: str) -> str:
        return str(self.operator.heads[cluster].address)

    def close(self) -> None:
        self.driver.close()
        self.operator.close()


@pytest.fixture
def endpoint(server: ApiServer, tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(server, tmp_path)
    yield made
    made.close()


def test_it_runs_only_once_its_service_has_an_address(endpoint: Endpoint) -> None:
    endpoint.operator.service_seconds = LONG
    endpoint.ask(1)
    endpoint.waits_for("DEPLOYING", "The model is loaded; KubeRay directs requests to it")
    assert endpoint.asked_at() is None
    (cluster,) = endpoint.operator.heads
    assert endpoint.server.upstreams[f"{cluster}-head-svc"] == endpoint.where(cluster)  # this one is there before
    endpoint.operator.service_seconds = 0
    endpoint.waits_for("RUNNING", "")
    assert endpoint.cluster("active") == cluster and endpoint.asked_at() == endpoint.where(cluster)


def test_an_address_that_is_lost_is_no_running_endpoint(endpoint: Endpoint) -> None:
    endpoint.ask(1)
    endpoint.waits_for("RUNNING", "")
    endpoint.operator.hold.add("replicas")
    for pod in endpoint.operator.pods.workers(endpoint.cluster("active")):
        endpoint.store.delete("pods", pod["metadata"]["name"])
    endpoint.waits_for("DEPLOYING", "")
    endpoint.operator.hold.clear()
    endpoint.waits_for("RUNNING", "")


def test_requests_go_to_the_old_pods_until_the_new_answer_and_those_stay_a_while(endpoint: Endpoint) -> None:
    endpoint.ask(1)
    endpoint.waits_for("RUNNING", "")
    old = endpoint.cluster("active")
    endpoint.operator.hold.add("replicas")
    endpoint.ask(1, memory=3 * 2**30)
    assert endpoint.state()[0] == "DEPLOYING"  # at once, whatever KubeRay still says
    wait_until(lambda: endpoint.cluster("pending") in endpoint.operator.heads, 15, "the new head runs")
    new = endpoint.cluster("pending")
    endpoint.waits_for("DEPLOYING", "those before answer until they do")
    assert (endpoint.cluster("active"), endpoint.asked_at()) == (old, endpoint.where(old))
    assert endpoint.driver.replicas(NAME) == endpoint.operator.heads[old].replicas != []
    endpoint.operator.old_seconds = LONG
    endpoint.operator.hold.clear()
    endpoint.waits_for("RUNNING", "")
    assert (endpoint.cluster("active"), endpoint.asked_at()) == (new, endpoint.where(new))
    assert endpoint.pods(old) == 1  # and it is not counted, nor changed
    endpoint.ask(2, memory=3 * 2**30)
    endpoint.waits_for("RUNNING", "")
    assert (endpoint.pods(old), endpoint.pods(new)) == (1, 2)
    assert endpoint.store.find("rayclusters", old)


def test_a_replaced_cluster_goes(endpoint: Endpoint) -> None:
    endpoint.ask(1)
    endpoint.waits_for("RUNNING", "")
    old = endpoint.cluster("active")
    endpoint.ask(1, memory=3 * 2**30)
    endpoint.waits_for("RUNNING", "")
    wait_until(lambda: not endpoint.store.find("rayclusters", old) and not endpoint.pods(old), 15, "it goes")
    assert endpoint.state() == ("RUNNING", "")


def test_what_is_scaled_in_an_upgrade_is_the_cluster_to_come(endpoint: Endpoint) -> None:
    endpoint.ask(1)
    endpoint.waits_for("RUNNING", "")
    old = endpoint.cluster("active")
    endpoint.operator.hold.add("replicas")
    endpoint.ask(1, memory=3 * 2**30)
    wait_until(lambda: endpoint.pods(endpoint.cluster("pending")), 15, "the new pods are made")
    new = endpoint.cluster("pending")
    endpoint.ask(3, memory=3 * 2**30)

    def resized() -> bool:
        endpoint.driver.maintain(Fence())
        return endpoint.pods(new) == 3

    wait_until(resized, 15, "three new pods")
    assert endpoint.cluster("pending") == new and endpoint.pods(old) == 1
    endpoint.operator.hold.clear()
    endpoint.waits_for("RUNNING", "")
    assert len(endpoint.driver.replicas(NAME)) == 3 and endpoint.cluster("active") == new


def test_fewer_replicas_leave_the_pods_that_answer(endpoint: Endpoint) -> None:
    endpoint.ask(3)
    endpoint.waits_for("RUNNING", "")
    cluster = endpoint.cluster("active")
    endpoint.ask(1)

    def is_small() -> bool:
        endpoint.driver.maintain(Fence())
        return endpoint.pods(cluster) == 1

    wait_until(is_small, 15, "the others went")
    endpoint.waits_for("RUNNING", "")
    (pod,) = endpoint.operator.pods.workers(cluster)
    assert [one["node_ip"] for one in endpoint.driver.replicas(NAME)] == [pod["status"]["podIP"]]


def test_the_whole_way_through_the_service(kube: Kube, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").touch()
    registry = kube.service.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    registry.create_registered_model("upgraded")
    registry.create_model_version("upgraded", str(tmp_path))
    operator = Operator(kube.server, QuickHead)
    operator.service_seconds = LONG
    body = {"modelName": "upgraded", "modelVersion": 1, "cluster": kube.cluster, "resources": "memory=1Gi"}
    one = "/api/v1/serve/upgraded/1"

    def get() -> dict[str, Any]:
        return dict(kube.service.get(one).json()["result"])

    try:
        kube.service.post("/api/v1/serve", json=body)
        wait_until(lambda: "KubeRay directs requests" in (get()["message"] or ""), 20, "what it waits for is said")
        assert get()["status"] == "Creating"
        operator.service_seconds = 0
        wait_until(lambda: get()["status"] == "Running", 20, "it runs")
        asked = kube.service.patch(one, json={"resources": "memory=2Gi"}).json()["result"]
        assert (asked["status"], asked["resources"]) == ("Updating", "cpu=0.25,memory=2Gi")
        wait_until(lambda: get()["status"] == "Running", 20, "it runs with more memory")
        service = kube.store.get("rayservices", "upgraded-1")
        (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        active = service["status"]["activeServiceStatus"]["rayClusterName"]
        (pod,) = operator.pods.workers(active)
        assert pod["spec"] == group["template"]["spec"] and group["rayStartParams"]["memory"] == str(2 * 2**30)
        assert [(e["from"], e["to"]) for e in get()["events"]][-2:] == [
            ("Running", "Updating"),
            ("Updating", "Running"),
        ]
    finally:
        operator.close()
