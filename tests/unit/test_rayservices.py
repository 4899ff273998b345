"""Where an endpoint's figures, replicas and logs come from on Kubernetes: from the Ray cluster that answers for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import UnknownJob, Unreachable
from submarine_ray.clusters.drivers.kuberay.services import ENDPOINT_ANNOTATION, RayServices, service_name


def ray_service(endpoint: str, active: str = "", pending: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": service_name(endpoint), "annotations": {ENDPOINT_ANNOTATION: endpoint}},
        "status": {"activeServiceStatus": {"rayClusterName": active}, "pendingServiceStatus": {"rayClusterName": pending}},
    }  # fmt: skip


class Dashboard:
    def __init__(self, cluster: str) -> None:
        self.cluster = cluster

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        if self.cluster == "gone":
            raise Unreachable("no route")
        return [f"metrics of {self.cluster}"]

    def replicas(self, endpoint: str) -> list[dict[str, Any]]:
        return [{"replica_id": f"{endpoint} on {self.cluster}"}]

    def replica_log(self, endpoint: str, replica_id: str, lines: int) -> str:
        return f"{lines} lines of {replica_id} on {self.cluster}"


class Namespace:
    """What RayServices asks of its namespace."""

    def __init__(self, *services: dict[str, Any], is_direct: bool = True) -> None:
        self.is_direct = is_direct
        self.services = self
        self._found = {service["metadata"]["name"]: service for service in services}

    def objects(self) -> dict[str, Any]:
        return self._found

    def get(self, name: str) -> dict[str, Any] | None:
        return self._found.get(name)

    def dashboard(self, cluster: str) -> Dashboard:
        return Dashboard(cluster)


def made(*services: dict[str, Any], **more: bool) -> RayServices:
    return RayServices(Namespace(*services, **more))  # type: ignore[arg-type]


def test_metrics_are_of_the_clusters_that_answer_and_one_that_is_gone_hides_no_other() -> None:
    services = (
        ray_service("a-1", "old", pending="new"),
        ray_service("b-1", "gone"),
        ray_service("c-1"),
        ray_service("d-1", "d"),
    )
    assert made(*services).serve_metrics() == ["metrics of old", "metrics of d"]


def test_through_the_api_servers_proxy_no_pods_ports_are_asked() -> None:
    assert made(ray_service("a-1", "a"), is_direct=False).serve_metrics() == []


@pytest.mark.parametrize(("clusters", "asked"), [(("old", "new"), "old"), (("", "new"), "new")])
def test_replicas_are_of_the_cluster_that_answers_or_else_of_the_one_that_starts(clusters: Any, asked: str) -> None:
    found = made(ray_service("a-1", *clusters), is_direct=False)
    assert found.replicas("a-1") == [{"replica_id": f"a-1 on {asked}"}]
    assert found.replica_log("a-1", "r", 5) == f"5 lines of r on {asked}"


def test_before_there_is_a_cluster_there_are_no_replicas() -> None:
    found = made(ray_service("a-1"))
    assert found.replicas("a-1") == found.replicas("never-1") == []
    with pytest.raises(UnknownJob):
        found.replica_log("a-1", "r", 5)
