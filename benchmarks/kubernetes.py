"""A thousand RayJobs in the simulated Kubernetes API: what watching them costs, and how late their states arrive."""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from typing import Any

import psutil

from benchmarks.harness import Bench
from submarine_ray.cli import processes
from tests.kuberay.apiserver import ApiServer, now
from tests.kuberay.conftest import registration

JOBS, FIRST = 1000, 500
SUBMISSIONS_A_SECOND = 20
CHANGES_A_SECOND = 50
IDLE_SECONDS = 30
SPEC = {
    "meta": {"name": "kube", "framework": "Shell", "cmd": "true"},
    "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1Gi"}},
    "cluster": "bench-kube",
}


def kubernetes(bench: Bench) -> None:
    """Submission of 500 at 20 a second; 1,000 RayJobs with nothing changing, and with 50 changing a second."""
    server = ApiServer()
    server.bookmark_seconds = 60.0
    bench.client.service.call("POST", "/api/v1/cluster", json=registration(server, "bench-kube"))
    try:
        _measure(bench, server)
    finally:
        bench.client.service.call("DELETE", "/api/v1/cluster/bench-kube?force=true")
        server.close()


def _measure(bench: Bench, server: ApiServer) -> None:
    few = [_create(bench) for _ in range(10)]
    _until(lambda: _made(server) >= len(few))
    calls_of_few = _calls_a_minute(server)
    begun = time.monotonic()
    ids = list(few)
    for number in range(FIRST):
        _sleep_until(begun + number / SUBMISSIONS_A_SECOND)
        ids.append(_create(bench))
    _until(lambda: _made(server) >= len(ids))
    took = time.monotonic() - begun
    made = server.count("POST", "/rayjobs")
    bench.add(f"RayJobs lost or doubled, of {FIRST} submitted at {SUBMISSIONS_A_SECOND} a second", "jobs",
              [abs(_made(server) - len(ids)) + made - len(ids)], [], "0", False)  # fmt: skip
    bench.add(
        "from the first submission to the last RayJob", "s", [took], [FIRST / SUBMISSIONS_A_SECOND], "a figure", False
    )
    while len(ids) < JOBS:
        ids.append(_create(bench))
    _until(lambda: _made(server) >= JOBS)
    _until(lambda: _in_state(bench, "Created") >= JOBS)
    bench.add(f"Kubernetes API calls a minute, {JOBS} idle jobs over {len(few)}", "calls", [_calls_a_minute(server)],
              [calls_of_few], "about 1", False)  # fmt: skip
    for id in ids:
        _start(server, id)
    time.sleep(10)  # those changes are not what is measured
    known = processes.load(bench.home.service_state)
    assert known
    service = psutil.Process(known[0].pid)
    random.shuffle(ids)
    changed: dict[str, float] = {}
    before, begun = sum(service.cpu_times()[:2]), time.monotonic()
    for number, id in enumerate(ids):
        _sleep_until(begun + number / CHANGES_A_SECOND)
        changed[id] = time.time()
        status = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "rayJobInfo": {"startTime": now()}}
        server.store.patch("rayjobs", id, {"status": status}, status=True)
    share = (sum(service.cpu_times()[:2]) - before) / (time.monotonic() - begun)
    _until(lambda: _in_state(bench, "Running") >= JOBS)
    lags = _lags(bench, changed)
    bench.add(f"CPU of the service, {CHANGES_A_SECOND} of {JOBS} RayJobs changing a second", "% of a core", [100 * share],
              [], "< 25", False)  # fmt: skip
    bench.add("status lag, p50", "s", [statistics.median(lags)], [], "a figure", False)
    bench.add("status lag, p99", "s", [statistics.quantiles(lags, n=100)[98]], [], "< 2", False)


def _start(server: ApiServer, id: str) -> None:
    """A RayCluster with a head pod that is ready, for a RayJob."""
    job, cluster = server.store.get("rayjobs", id), f"{id}-abcde"
    labels = job["metadata"]["labels"]
    server.store.create("rayclusters", {"metadata": {"name": cluster, "labels": labels},
                                        "spec": job["spec"]["rayClusterSpec"]})  # fmt: skip
    labels_of_pod = {**labels, "ray.io/cluster": cluster, "ray.io/node-type": "head"}
    running = {"name": "ray-head", "ready": True, "state": {"running": {"startedAt": now()}}}
    server.store.create("pods", {"metadata": {"name": f"{cluster}-head", "labels": labels_of_pod},
                                 "status": {"phase": "Running", "containerStatuses": [running]}})  # fmt: skip
    ready = {"conditions": [{"type": "HeadPodReady", "status": "True", "lastTransitionTime": now()}]}
    server.store.patch("rayclusters", cluster, {"status": ready}, status=True)
    status = {"jobDeploymentStatus": "Initializing", "rayClusterName": cluster}
    server.store.patch("rayjobs", id, {"status": status}, status=True)


def _create(bench: Bench) -> str:
    return str(bench.client.create_experiment(SPEC)["experimentId"])


def _made(server: ApiServer) -> int:
    return len(server.store.list("rayjobs")[0])


def _in_state(bench: Bench, status: str) -> int:
    with sqlite3.connect(bench.home.database, timeout=30) as connection:
        query = "SELECT count(*) FROM experiment WHERE cluster = 'bench-kube' AND status = ?"
        return int(connection.execute(query, (status,)).fetchone()[0])


def _lags(bench: Bench, changed: dict[str, float]) -> list[float]:
    """Seconds from the change of a RayJob to the event that its user sees."""
    with sqlite3.connect(bench.home.database, timeout=30) as connection:
        rows = connection.execute("SELECT subject, time_ms FROM event WHERE to_status = 'Running'").fetchall()
    return [ms / 1000 - changed[subject] for subject, ms in rows if subject in changed]


def _calls_a_minute(server: ApiServer) -> float:
    before = len(server.requests)
    time.sleep(IDLE_SECONDS)
    return (len(server.requests) - before) * 60 / IDLE_SECONDS


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _until(condition: Any, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the benchmark of Kubernetes did not get on")
        time.sleep(0.2)
