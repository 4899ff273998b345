"""Endpoints as KubeRay has them: sizes are ours to change, a state is what Serve has and not what was asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.clusters.drivers.base import Fence, Superseded
from submarine_ray.clusters.drivers.kuberay.pods import DEFAULT_MEMORY
from submarine_ray.serving import applications
from tests.conftest import wait_until
from tests.kuberay.apiserver import ApiServer, Object
from tests.kuberay.conftest import dedicated
from tests.kuberay.heads import ScriptedHead
from tests.kuberay.rayservices import sizeless

NAME = "m-1"


class Endpoint:
    """One endpoint on a simulated Kubernetes; the test plays the operator, the kubelet and Serve."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self.server, self.store = server, server.store
        self.head = ScriptedHead()
        self.head.endpoint = NAME
        self.at, self.driver = dedicated(server, directory)
        self.cluster = ""

    def ask(self, replicas: int, cpu: float = 0.25, memory: int = 0) -> None:
        wanted = applications.Desired(NAME, "m", 1, "models:/m/1", replicas, cpu, 0, memory)
        self.driver.put_applications(applications.configuration([wanted], [], "http://service/mlflow", {}), Fence())

    def service(self) -> Object:
        return self.store.get("rayservices", NAME)

    def start(self, cluster: str) -> None:
        """As KubeRay: a new RayCluster of what the RayService says, in front of which the traffic is put."""
        self.cluster = cluster
        made = {"kind": "RayCluster", "apiVersion": "ray.io/v1", "spec": self.service()["spec"]["rayClusterConfig"],
                "metadata": {"name": cluster, "labels": self.service()["metadata"]["labels"]}}  # fmt: skip
        self.store.create("rayclusters", made)
        token = base64.b64encode(self.head.token.encode()).decode()
        self.store.create("secrets", {"metadata": {"name": cluster}, "data": {"auth_token": token}})
        self.server.upstreams[f"{cluster}-head-svc"] = self.head.address

    def switch(self) -> None:
        active = {"rayClusterName": self.cluster, "applicationStatuses": {NAME: {"status": "RUNNING"}}}
        status = {"activeServiceStatus": active, "pendingServiceStatus": None,
                  "conditions": [{"type": "Ready", "status": "True"}]}  # fmt: skip
        self.store.patch("rayservices", NAME, {"status": status}, status=True)

    def pods(self) -> list[str]:
        """As KubeRay: make pods until they are as many as the group says, those to delete first."""
        (group,) = self.store.get("rayclusters", self.cluster)["spec"]["workerGroupSpecs"]
        for name in (group.get("scaleStrategy") or {}).get("workersToDelete") or []:
            if self.store.find("pods", name):
                self.store.delete("pods", name)
        there = [p for p in self._all() if p["metadata"]["labels"]["ray.io/node-type"] == "worker"]
        for number in range(len(there), group["replicas"]):
            self._pod(f"{self.cluster}-w{number}", "worker", group["template"], f"10.0.0.{number + 1}")
        assert len(there) <= group["replicas"], "KubeRay would delete pods at random"
        return [p["metadata"]["name"] for p in self._all() if p["metadata"]["labels"]["ray.io/node-type"] == "worker"]

    def serve(self, *addresses: str, stopping: tuple[str, ...] = ()) -> None:
        """Serve's replicas, each by its pod's address."""
        self.head.replicas = [
            {"replica_id": ip, "node_ip": ip, "state": state}
            for ips, state in ((addresses, "RUNNING"), (stopping, "STOPPING"))
            for ip in ips
        ]

    def state(self) -> tuple[str, str]:
        found = self.driver.applications()["applications"][NAME]
        return found["status"], found["message"]

    def _all(self) -> list[Object]:
        return [p for p in self.store.list("pods")[0] if p["metadata"]["labels"]["ray.io/cluster"] == self.cluster]

    def _pod(self, name: str, kind: str, template: Object, ip: str) -> None:
        labels = {**template["metadata"]["labels"], "ray.io/cluster": self.cluster, "ray.io/node-type": kind}
        metadata = {"name": name, "labels": labels, "annotations": template["metadata"]["annotations"]}
        self.store.create("pods", {"metadata": metadata, "status": {"phase": "Running", "podIP": ip}})
        wait_until(lambda: self.at.pods.get(name), 5, "the watch shows the pod")

    def close(self) -> None:
        self.driver.close()
        self.head.close()


@pytest.fixture
def endpoint(server: ApiServer, tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(server, tmp_path)
    made.ask(1)
    made.start("m-1-abcde")
    made.pods()
    made.serve("10.0.0.1")
    made.switch()
    wait_until(lambda: made.state() == ("RUNNING", ""), 5, "one replica answers")
    yield made
    made.close()


def size(endpoint: Endpoint) -> int:
    return int(endpoint.store.get("rayclusters", endpoint.cluster)["spec"]["workerGroupSpecs"][0]["replicas"])


def test_more_replicas_get_pods_and_run_only_when_all_answer(endpoint: Endpoint) -> None:
    before = sizeless(endpoint.service()["spec"]["rayClusterConfig"])
    endpoint.ask(3)
    assert size(endpoint) == 3 and sizeless(endpoint.service()["spec"]["rayClusterConfig"]) == before
    assert endpoint.state() == ("DEPLOYING", "Replicas: 1 ready, 3 requested.")  # whatever KubeRay still says
    assert len(endpoint.pods()) == 3
    endpoint.serve("10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert endpoint.state() == ("RUNNING", "")
    asked = endpoint.server.count(part="/serve/applications")
    assert endpoint.state() == ("RUNNING", "") and endpoint.server.count(part="/serve/applications") == asked


def test_fewer_replicas_give_back_the_pods_that_serve_has_left(endpoint: Endpoint) -> None:
    endpoint.ask(3)
    endpoint.pods()
    endpoint.serve("10.0.0.1", "10.0.0.2", "10.0.0.3")
    endpoint.ask(1)
    assert size(endpoint) == 3 and endpoint.state()[0] == "DEPLOYING"
    endpoint.serve("10.0.0.2", "10.0.0.3", stopping=("10.0.0.1",))
    endpoint.driver.maintain(Fence())
    assert size(endpoint) == 3, "Serve has not let go yet"
    endpoint.serve("10.0.0.2")
    endpoint.driver.maintain(Fence())
    assert size(endpoint) == 1 and endpoint.pods() == [f"{endpoint.cluster}-w1"]  # the one that answers
    assert endpoint.state() == ("RUNNING", "")


def test_somebody_else_writes_the_cluster_at_the_same_time(endpoint: Endpoint) -> None:
    endpoint.server.conflicts = 1
    endpoint.ask(2)
    endpoint.driver.maintain(Fence())
    assert size(endpoint) == 2


def test_other_resources_are_a_new_cluster_and_run_only_there(endpoint: Endpoint) -> None:
    before = sizeless(endpoint.service()["spec"]["rayClusterConfig"])
    endpoint.ask(1, cpu=2)
    assert sizeless(endpoint.service()["spec"]["rayClusterConfig"]) != before
    status, message = endpoint.state()
    assert status == "DEPLOYING" and "those before answer" in message
    endpoint.start("m-1-fghij")
    endpoint.pods()
    endpoint.switch()
    wait_until(lambda: endpoint.state() == ("RUNNING", ""), 5, "the new one answers")


@pytest.mark.parametrize("cpu", [0.1, 0.25, 1.0, 1.5, 4.0])
def test_a_pod_has_room_for_one_replica(endpoint: Endpoint, cpu: float) -> None:
    endpoint.ask(2, cpu)
    spec: dict[str, Any] = endpoint.service()["spec"]
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    (application,) = yaml.safe_load(spec["serveConfigV2"])["applications"]
    asked = application["deployments"][0]["ray_actor_options"]["num_cpus"]
    assert int(group["rayStartParams"]["num-cpus"]) // asked == 1
    assert group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] in (
        f"{cpu * 1000:.0f}m",
        f"{cpu:g}",
    )


def test_a_pod_has_the_memory_that_its_replica_asks_for(endpoint: Endpoint) -> None:
    def limit() -> int:
        (group,) = endpoint.service()["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        assert int(group["rayStartParams"]["memory"]) == (asked() or DEFAULT_MEMORY)
        return int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))

    def asked() -> int | None:
        (application,) = yaml.safe_load(endpoint.service()["spec"]["serveConfigV2"])["applications"]
        return application["deployments"][0]["ray_actor_options"].get("memory")  # type: ignore[no-any-return]

    before = limit()
    endpoint.ask(1, memory=5 * 2**30)
    assert asked() == 5 * 2**30 and limit() - before == 3 * 1024
    assert endpoint.state()[0] == "DEPLOYING"  # a new cluster has the new pods


def test_the_token_that_reads_its_model_is_in_a_secret_of_its_own(server: ApiServer, tmp_path: Path) -> None:
    made = Endpoint(server, tmp_path)
    tokens = made.at.tokens

    def put(*names: str) -> None:
        wanted = [
            applications.Desired(
                name, name, 1, f"models:/{name}/1", 1, 0.25, 0, 0, tokens.issue(PrincipalKind.ENDPOINT, name)
            )
            for name in names
        ]
        made.driver.put_applications(applications.configuration(wanted, [], "http://service/mlflow", {}), Fence())

    def kept() -> dict[str, str]:
        found = made.store.list("secrets")[0]
        return {one["metadata"]["name"]: base64.b64decode(one["data"]["token"]).decode() for one in found}

    # What earlier versions left: the service's own token.
    old = f"submarine-tracking-{made.at.uid[:8]}"
    for name in (old, "m-1-token"):
        made.store.create("secrets", {"metadata": {"name": name}, "data": {"token": base64.b64encode(b"old").decode()}})
    put("m-1", "m-2")
    assert kept() == {f"m-{n}-token": tokens.issue(PrincipalKind.ENDPOINT, f"m-{n}") for n in (1, 2)}
    for name, token in ((f"m-{n}", kept()[f"m-{n}-token"]) for n in (1, 2)):
        service = made.store.get("rayservices", name)
        text = yaml.safe_dump(service)
        assert token not in text and "tracking_token" not in text
        assert f"{{'secretKeyRef': {{'name': '{name}-token', 'key': 'token'}}}}" in str(service)
    put("m-2")
    assert set(kept()) == {"m-2-token"}
    made.close()


def told(server: ApiServer, driver: Any, fence: Fence, *names: str) -> list[str]:
    """What has a RayService once a driver was told a generation."""
    wanted = [applications.Desired(name, "m", n, f"models:/m/{n}", 1, 0.25, 0) for n, name in enumerate(names, 1)]
    driver.put_applications(applications.configuration(wanted, [], "http://service/mlflow", {}), fence)
    return sorted(one["metadata"]["name"] for one in server.store.list("rayservices")[0])


def test_an_older_generation_never_overwrites_a_newer_one(server: ApiServer, tmp_path: Path) -> None:
    """Two control services; what one of them has seen may be old, as its watch and its generation may."""
    drivers = [dedicated(server, tmp_path / name)[1] for name in ("one", "other")]
    one, other = drivers
    assert told(server, one, Fence(5, "a"), "m-1", "m-2") == ["m-1", "m-2"]
    assert told(server, other, Fence(6, "b"), "m-2", "m-3") == ["m-2", "m-3"]
    wait_until(lambda: one.applications()["declared"] == ["m-2", "m-3"], 5, "the other's watch shows it")
    for names in (["m-1", "m-2"], ["m-2"], []):  # made otherwise, nothing to change but the others, nothing to keep
        with pytest.raises(Superseded) as refused:
            told(server, one, Fence(5, "a"), *names)
        assert refused.value.number == 6
    with pytest.raises(Superseded):
        told(server, one, Fence(7, "c", lambda: False), "m-4")
    assert sorted(one["metadata"]["name"] for one in server.store.list("rayservices")[0]) == ["m-2", "m-3"]
    assert other.applications()["fence"] == Fence(6, "b")
    for driver in drivers:
        driver.close()


def test_a_generation_that_changes_nothing_of_an_endpoint_is_noted_all_the_same(
    server: ApiServer, tmp_path: Path
) -> None:
    _, driver = dedicated(server, tmp_path)
    told(server, driver, Fence(1, "a"), "m-1")
    before = server.store.get("rayservices", "m-1")["spec"]
    server.conflicts = 2  # others change it meanwhile
    told(server, driver, Fence(2, "b"), "m-1")
    found = server.store.get("rayservices", "m-1")
    assert found["spec"] == before and found["metadata"]["annotations"]["submarine-ray/fence"] == "2 b"
    writes = len(server.requests)
    told(server, driver, Fence(2, "b"), "m-1")
    assert [r for r in list(server.requests)[writes:] if r[1] in ("PUT", "DELETE") and "rayservices" in r[2]] == []
    driver.close()
