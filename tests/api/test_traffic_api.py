"""A model's shared URL: what is counted of its requests, by REST, on a cluster of Prometheus texts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.clock import due_ms
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from submarine_ray.serving import meter
from submarine_ray.serving.applications import weights_name
from submarine_ray.serving.tables import EndpointRow
from tests.service import without_mlflow
from tests.unit.test_endpoint_metrics import prometheus, split


class Metered:
    """A cluster whose splitter has handed on what a test says."""

    def __init__(self) -> None:
        self.text = "up 1\n"
        self.asked: Collection[str] = ()

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        self.asked = applications
        return [self.text]

    def passed(self, weights: dict[int, int], to_each: dict[str, int], refused: int = 0) -> None:
        """`refused`: how many more of version 2 failed."""
        name, whole = weights_name(weights), sum(to_each.values())
        counts = {(version, name, "200"): (0, n, n, n) for version, n in to_each.items()}
        failed = {("2", name, "500"): (0, 0, refused, refused)} if refused else {}
        self.text = prometheus(
            {"200": (0, whole, whole, whole), "500": (0, 0, refused, refused)}, application="traffic:m"
        )
        self.text += split(counts | failed)


@pytest.fixture
def cluster() -> Metered:
    return Metered()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found = [due_ms()]
    monkeypatch.setattr(meter, "due_ms", lambda: found[0])
    return found


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory, cluster: Metered, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    made = without_mlflow(build(Settings(home=tmp_path_factory.mktemp("traffic"))), "http://127.0.0.1:32080")
    platform: Platform = made.app.state.platform  # type: ignore[attr-defined]
    monkeypatch.setattr(platform.clusters, "driver", lambda _name: cluster)
    with platform.database.session(write=True) as session:
        for version in (1, 2):
            what = {"name": f"m-{version}", "model_name": "m", "model_version": version, "model_uri": ""}
            size = {"replicas": 1, "cpu": 0, "gpu": 0}
            session.add(EndpointRow(**what, **size, cluster="local", status="Running", created_ms=1, changed_ms=1))
    return made


def result(client: TestClient, path: str) -> Any:
    return client.get(f"/api/v1/serve/{path}").raise_for_status().json()["result"]


def shares(metrics: dict[str, Any]) -> list[tuple[int, int, int, float, float | None]]:
    return [
        (one["version"], one["requests"], one["errors"], one["wanted"], one["share"]) for one in metrics["versions"]
    ]


def test_requests_through_the_shared_url_are_counted_for_it_and_for_each_version(
    client: TestClient, cluster: Metered, now: list[int]
) -> None:
    def split_by(weights: dict[int, int]) -> None:
        client.put("/api/v1/serve/m/traffic", json={"weights": weights}).raise_for_status()

    first, second = {1: 90, 2: 10}, {1: 50, 2: 50}
    assert client.get("/api/v1/serve/m/traffic/metrics").status_code == 404 and result(client, "traffic") == []
    split_by(first)
    (listed,) = result(client, "traffic")
    assert (listed["weights"], listed["cluster"]) == ({"1": 90, "2": 10}, "local")
    none = result(client, "m/traffic/metrics")
    assert cluster.asked == ["traffic:m"] and none["known"] and none["requests"] == 0
    assert shares(none) == [(1, 0, 0, 0.9, None), (2, 0, 0, 0.1, None)]

    now[0] += 10_000
    cluster.passed(first, {"1": 88, "2": 8}, refused=4)
    found = result(client, "m/traffic/metrics")
    assert (found["requests"], found["errors"], found["requestsPerSecond"]) == (100, 4, 10.0)  # the first ones, too
    assert found["latency"]["p50"] < 10 < found["latency"]["p99"] and len(found["history"]) == 1
    assert shares(found) == [(1, 88, 0, 0.9, 0.88), (2, 12, 4, 0.1, 0.12)]
    assert [one["status"] for one in found["versions"]] == ["Running", "Running"]
    each = [result(client, f"m/{version}/metrics") for version in (1, 2)]
    assert [(one["requests"], one["errors"], one["requestsPerSecond"]) for one in each] == [(88, 0, 8.8), (12, 4, 1.2)]

    split_by(second)  # what was counted under the weights of before says nothing about the new ones
    assert shares(result(client, "m/traffic/metrics")) == [(1, 0, 0, 0.5, None), (2, 0, 0, 0.5, None)]
    reasons = [event["reason"] for event in result(client, "m/traffic")["events"]]
    assert reasons == ["Asked", "Asked"]
    client.delete("/api/v1/serve/m/traffic").raise_for_status()
    assert result(client, "traffic") == [] and client.get("/api/v1/serve/m/traffic/metrics").status_code == 404


def test_looks_that_follow_closely_leave_no_more_points(client: TestClient, cluster: Metered, now: list[int]) -> None:
    client.put("/api/v1/serve/m/traffic", json={"weights": {1: 1, 2: 1}}).raise_for_status()
    begin = now[0]
    for second in range(0, 61, 4):
        now[0] = begin + second * 1000
        cluster.passed({1: 1, 2: 1}, {"1": second, "2": second})
        found = result(client, "m/traffic/metrics")
        assert found["requests"] == 2 * second
    times = [(point["time"] - begin) // 1000 for point in found["history"]]
    assert times == [12, 24, 36, 48, 60] and found["requestsPerSecond"] == pytest.approx(2.0)
    assert [one["requestsPerSecond"] for one in found["versions"]] == pytest.approx([1.0, 1.0])
