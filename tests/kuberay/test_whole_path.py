"""POST experiment -> RayJob -> Ray -> runner -> MLflow -> status, logs, cleanup, on simulated Kubernetes and real Ray."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.client.errors import ApiError
from submarine_ray.client.run import run
from tests.conftest import RunningPlatform, wait_until
from tests.kuberay.apiserver import ApiServer
from tests.kuberay.conftest import kubeconfig_file, registration
from tests.kuberay.operator import Operator

pytestmark = pytest.mark.ray


@contextmanager
def simulated(platform: RunningPlatform, name: str) -> Iterator[tuple[ApiServer, Operator]]:
    """A Kubernetes with its operator, registered under `name`."""
    server = ApiServer()
    operator = Operator(server)
    platform.client.service.call("POST", "/api/v1/cluster", json=registration(server, name))
    try:
        yield server, operator
        wait_until(lambda: not server.store.list("rayjobs")[0], 60, "every RayJob is gone")
    finally:
        platform.client.service.call("DELETE", f"/api/v1/cluster/{name}?force=true")
        operator.close()
        server.close()


@pytest.fixture(scope="module")
def kube(platform: RunningPlatform) -> Iterator[tuple[ApiServer, Operator]]:
    with simulated(platform, "kube") as made:
        yield made


def events(platform: RunningPlatform, id: str) -> list[dict[str, Any]]:
    return list(platform.client.service.call("GET", f"/api/v1/experiment/{id}/events"))


@pytest.mark.parametrize("clusters", [1, pytest.param(2, marks=pytest.mark.long)])
def test_gangs_on_as_many_clusters_at_once(
    platform: RunningPlatform, kube: tuple[ApiServer, Operator], tmp_path: Path, clusters: int
) -> None:
    """Code, variables, metrics, logs, cleanup; what is secret is in Secrets alone."""
    servers = {"kube": kube[0]}
    (tmp_path / "train.py").write_text(
        "import os\nfrom submarine_ray import log_metric\n"
        "for step in range(20): log_metric('loss', 1 / (step + 1), step)\n"
        "print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], os.environ['SECRET_WORD'])\n"
    )
    with ExitStack() as more:
        if clusters == 2:
            servers["kube-2"], _ = more.enter_context(simulated(platform, "kube-2"))
        handles = [
            run("python train.py", workers=2, working_dir=tmp_path, cluster=name, framework="PyTorch",
                env={"SECRET_WORD": "swordfish"}, client=platform.client)
            for name in servers
        ]  # fmt: skip
        for handle, where in zip(handles, servers.values(), strict=True):
            job = wait_until(lambda where=where, id=handle.id: where.store.find("rayjobs", id), 20, "a RayJob")
            assert "swordfish" not in str(job)
        for handle, where in zip(handles, servers.values(), strict=True):
            ended = platform.ended(handle.id)
            assert ended["status"] == "Succeeded", (ended, platform.lines(handle.id))
            lines = platform.lines(handle.id)
            assert [f"rank {rank} of 2 swordfish" in lines[f"worker-{rank}"] for rank in (0, 1)] == [True, True]
            points = platform.client.service.call("GET", f"/api/v1/experiment/{handle.id}/metrics?key=loss")
            assert len(points) == 40
            passed = [event["to"] for event in events(platform, handle.id) if event["to"]]
            assert passed == ["Accepted", "Created", "Running", "Succeeded"]
            for plural in ("rayclusters", "pods", "secrets"):
                wait_until(lambda id=handle.id, where=where, plural=plural: not [
                    o for o in where.store.list(plural)[0] if id in o["metadata"]["name"]
                ], 30, f"its {plural} are gone")  # fmt: skip


@pytest.mark.long
def test_a_killed_head_is_noticed_and_the_attempt_repeated(
    platform: RunningPlatform, kube: tuple[ApiServer, Operator], tmp_path: Path
) -> None:
    """As in kuberay #1489 and #3903: the RayJob's status goes on saying Running, and the operator starts it again."""
    server, operator = kube
    marks = tmp_path / "marks"
    id = platform.submit(
        f"echo began >> {marks}; test $(wc -l < {marks}) -gt 1 || sleep 300", cluster="kube", maxRetries=1
    )
    wait_until(lambda: platform.client.get_experiment(id)["status"] == "Running" and marks.exists(), 60, "it runs")
    operator.resubmit_seconds = 0.0  # it submits the attempt to the new head before the service has looked there
    operator.heads[server.store.get("rayjobs", id)["status"]["rayClusterName"]].kill()
    ended = platform.ended(id)
    assert (ended["status"], ended["attempt"]) == ("Succeeded", 2), events(platform, id)
    assert "lost" in [event["reason"] for event in events(platform, id)]
    assert marks.read_text() == "began\n" * 2, "the operator's own second start of the first attempt did nothing"


@pytest.mark.long
def test_the_service_restarted_in_every_phase(
    platform: RunningPlatform, kube: tuple[ApiServer, Operator], tmp_path: Path
) -> None:
    server, operator = kube
    marks, go = tmp_path / "marks", tmp_path / "go"
    operator.hold.add("rayjobs")
    id = platform.submit(f"echo ran >> {marks}; until test -e {go}; do sleep 0.1; done", cluster="kube")
    platform.restart_service()  # accepted, perhaps submitted
    wait_until(lambda: server.store.find("rayjobs", id), 30, "the RayJob")
    platform.restart_service()  # submitted, and nobody has looked at it
    operator.hold.clear()
    wait_until(lambda: (server.store.get("rayjobs", id).get("status") or {}).get("rayClusterName"), 30, "it starts")
    platform.restart_service()  # its cluster starts
    wait_until(marks.exists, 60, "it runs")
    os.kill(platform.service_pid(), signal.SIGKILL)  # it runs, and ends while nobody is there
    go.touch()
    wait_until(lambda: server.store.get("rayjobs", id)["status"].get("jobStatus") == "SUCCEEDED", 60, "it ends")
    platform.up()
    assert platform.ended(id)["status"] == "Succeeded"
    platform.restart_service()  # ended, perhaps not cleaned up
    wait_until(lambda: server.store.find("rayjobs", id) is None, 60, "it is cleaned up")
    assert marks.read_text() == "ran\n"


@pytest.mark.long  # the driver of a sweep is a job like any other's, and its trials are Ray's
def test_a_sweep(platform: RunningPlatform, kube: tuple[ApiServer, Operator]) -> None:
    tune = {"searchSpace": {"x": {"type": "choice", "values": [1, 2]}}, "metric": "score", "mode": "max",
            "algorithm": "grid", "numSamples": 1, "maxConcurrentTrials": 2}  # fmt: skip
    code = "from submarine_ray import log_metric; log_metric('score', {{x}})"
    id = platform.submit(f'python -c "{code}"', "Python", resources="cpu=1", cluster="kube", tune=tune)
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    trials = platform.client.service.call("GET", f"/api/v1/experiment/{id}/trials")
    assert [trial["metrics"]["score"] for trial in trials] == [2.0, 1.0]


@pytest.mark.long
def test_an_endpoint_is_a_rayservice(
    platform: RunningPlatform, kube: tuple[ApiServer, Operator], sklearn_experiment: str
) -> None:
    server, operator = kube
    service = platform.client.service
    service.call("POST", "/api/v1/registered-model", json={"name": "kube-prices"})
    service.call("POST", "/api/v1/model-version?baseDir=prices",
                 json={"name": "kube-prices", "experimentId": sklearn_experiment})  # fmt: skip
    body = {"modelName": "kube-prices", "modelVersion": 1, "cluster": "kube", "resources": "cpu=1"}
    server.conflicts = 3  # somebody else writes at the same time
    service.call("POST", "/api/v1/serve", json=body)

    def running() -> bool:
        return bool(service.call("GET", "/api/v1/serve/kube-prices/1")["status"] == "Running")

    wait_until(running, 120, "the endpoint runs")
    (ray_service,) = server.store.list("rayservices")[0]
    cluster = ray_service["status"]["activeServiceStatus"]["rayClusterName"]
    url = f"http://127.0.0.1:{operator.heads[cluster].serve_port}/kube-prices/1/invocations"
    rows = {"dataframe_records": [{"rooms": 2.0, "floor": 1.0}]}
    answer = wait_until(
        lambda: (r := httpx.post(url, json=rows, timeout=10)).status_code == 200 and r, 30, "it answers"
    )
    assert answer.json()["predictions"][0] == pytest.approx(210)
    (replica,) = service.call("GET", "/api/v1/serve/kube-prices/1/replicas")
    log = service.call("GET", f"/api/v1/serve/kube-prices/1/replicas/{replica['replicaId']}/log")
    assert "Loaded kube-prices version 1" in log
    service.call("POST", "/api/v1/serve", json={**body, "replicas": 2})
    wait_until(lambda: "num_replicas: 2" in server.store.list("rayservices")[0][0]["spec"]["serveConfigV2"], 30, "two")
    service.call("DELETE", "/api/v1/serve", json=body)
    wait_until(lambda: not server.store.list("rayservices")[0], 30, "the RayService is gone")


@pytest.mark.long
def test_a_shared_cluster_is_made_used_and_healed(platform: RunningPlatform) -> None:
    server = ApiServer()
    operator = Operator(server)
    service = platform.client.service
    body = registration(
        server, "kube-shared", mode="shared", workers=[{"name": "w", "resources": "cpu=2", "replicas": 1}]
    )
    service.call("POST", "/api/v1/cluster", json=body)
    try:
        wait_until(lambda: service.call("GET", "/api/v1/cluster/kube-shared")["healthy"], 60, "it is healthy")
        (made,) = server.store.list("rayclusters")[0]
        id = platform.submit("echo on the shared one", cluster="kube-shared")
        assert platform.ended(id)["status"] == "Succeeded"
        assert platform.lines(id)["worker-0"] == ["on the shared one"]
        server.store.delete("rayclusters", made["metadata"]["name"])
        wait_until(lambda: [c for c in server.store.list("rayclusters")[0] if c["metadata"]["uid"] != made["metadata"]["uid"]],
                   30, "it is made anew")  # fmt: skip
        again = platform.submit("echo on the new one", cluster="kube-shared")
        assert platform.ended(again)["status"] == "Succeeded"
        wait_until(lambda: _is_deleted(service), 30, "nothing runs there any more")
        wait_until(lambda: not server.store.list("rayclusters")[0], 30, "it goes with its registration")
    finally:
        operator.close()
        server.close()


def _is_deleted(service: Any) -> bool:
    """Whether the cluster could be deleted; what has just ended is cleaned up first."""
    try:
        service.call("DELETE", "/api/v1/cluster/kube-shared")
    except ApiError:
        return False
    return True


def test_the_command_line(platform: RunningPlatform, server: ApiServer, tmp_path: Path) -> None:
    file = kubeconfig_file(tmp_path, server.kubeconfig())
    added = platform.cli(
        "cluster",
        "add",
        "by-cli",
        "--kuberay",
        "--kubeconfig",
        str(file),
        "--upload",
        "--namespace",
        "ml",
        "--image",
        "127.0.0.1:9/ray:2.60.0",
    )
    assert added.stdout.startswith("by-cli") and "KubeRay's CRDs" in added.stdout
    assert "by-cli" in platform.cli("cluster", "list").stdout
    assert json.loads(platform.cli("cluster", "get", "by-cli", "-o", "json").stdout)["namespace"] == "ml"
    server.installed.clear()
    bad = platform.cli("cluster", "check", "by-cli", check=False)
    assert bad.returncode == 1 and "helm install" in bad.stdout
    assert "'by-cli' is forgotten" in platform.cli("cluster", "delete", "by-cli", "--force").stdout
    gone = platform.cli("cluster", "get", "by-cli", check=False)
    assert gone.returncode == 1 and gone.stderr.startswith("Error: There is no cluster 'by-cli'")
    for arguments, words in (
        (("cluster", "add"), "give the cluster's name"),
        (("cluster", "add", "x"), "say which cluster"),
        (("cluster", "add", "x", "--kuberay", "--kubeconfig", "/no/such"), "there is no kubeconfig at /no/such"),
        (("cluster", "add", "x", "--address", "nowhere"), "is not an address"),
    ):
        refused = platform.cli(*arguments, check=False)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr
