"""POST experiment -> RayJob -> Ray -> runner -> MLflow -> status, logs, cleanup, on simulated Kubernetes and real Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningPlatform, wait_until
from tests.kuberay.apiserver import ApiServer
from tests.kuberay.conftest import registration
from tests.kuberay.operator import Operator

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kube(platform: RunningPlatform) -> Iterator[tuple[ApiServer, Operator]]:
    """A simulated Kubernetes with its operator, registered as `kube`."""
    server = ApiServer()
    operator = Operator(server)
    platform.client.service.call("POST", "/api/v1/cluster", json=registration(server))
    yield server, operator
    wait_until(lambda: not server.store.list("rayjobs")[0], 60, "every RayJob is gone")
    platform.client.service.call("DELETE", "/api/v1/cluster/kube?force=true")
    operator.close()
    server.close()


def events(platform: RunningPlatform, id: str) -> list[dict[str, Any]]:
    return list(platform.client.service.call("GET", f"/api/v1/experiment/{id}/events"))


def test_a_gang_with_code_metrics_and_logs(
    platform: RunningPlatform, kube: tuple[ApiServer, Operator], tmp_path: Path
) -> None:
    server, _ = kube
    (tmp_path / "train.py").write_text(
        "import os\nfrom submarine_ray import log_metric\n"
        "for step in range(20): log_metric('loss', 1 / (step + 1), step)\n"
        "print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], os.environ['SECRET_WORD'])\n"
    )
    from submarine_ray.client.run import run

    handle = run("python train.py", workers=2, cpus_per_worker=1, working_dir=tmp_path, cluster="kube",
                 framework="PyTorch", env={"SECRET_WORD": "swordfish"}, client=platform.client)  # fmt: skip
    wait_until(lambda: server.store.list("rayjobs")[0], 20, "a RayJob")
    (job,) = server.store.list("rayjobs")[0]
    assert "swordfish" not in str(job) and job["metadata"]["name"] == handle.id
    ended = platform.ended(handle.id)
    assert ended["status"] == "Succeeded", (ended, platform.lines(handle.id))
    lines = platform.lines(handle.id)
    assert [f"rank {rank} of 2 swordfish" in lines[f"worker-{rank}"] for rank in (0, 1)] == [True, True]
    points = platform.client.service.call("GET", f"/api/v1/experiment/{handle.id}/metrics?key=loss")
    assert len(points) == 40
    wait_until(lambda: not server.store.list("rayclusters")[0], 30, "the cluster is gone")
    assert not [s for s in server.store.list("secrets")[0] if handle.id in s["metadata"]["name"]]
    assert [e["to"] for e in events(platform, handle.id) if e["to"]] == ["Accepted", "Created", "Running", "Succeeded"]
