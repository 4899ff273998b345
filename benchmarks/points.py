"""Metrics, from the loop that logs them to MLflow's tables: our way beside MLflow's own, on SQLite and MariaDB.

Needs no Ray: a control service of its own, and processes that log to it. `python -m benchmarks.points` runs it alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from benchmarks.harness import Bench
from submarine_ray.runner.network import free_port
from tests.conftest import MariaDb

LOGS = Path(__file__).parent / "logs.py"
POINTS, BATCHED, SINGLE = 200_000, 10_000, 100
AT_ONCE = 10
ROUNDS = 3


class Logged(NamedTuple):
    """Points a second stored, microseconds of the service's CPU a point, and of the loop's CPU a call."""

    rate: float
    service: float
    loop: float


class Service:
    """A control service on a database."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self._process = process

    def run(self) -> str:
        made = httpx.post(f"{self.url}/mlflow/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=60)
        return str(made.raise_for_status().json()["run"]["info"]["run_id"])

    def cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def log(self, way: str, count: int, processes: int = 1) -> Logged:
        """Log `count` points in all, by so many processes at once, each to a run of its own."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SUBMARINE_", "MLFLOW_"))}
        env |= {"MLFLOW_TRACKING_URI": f"{self.url}/mlflow", "PYTHONPATH": str(LOGS.parent.parent)}
        before = self.cpu()
        command = [sys.executable, str(LOGS), way, str(count // processes)]
        started = [
            subprocess.Popen(command, env=env | {"MLFLOW_RUN_ID": self.run()}, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        times = []
        for process in started:
            told = process.communicate(timeout=600)[0]
            line = next(line for line in told.splitlines() if line.startswith("times"))
            times.append([float(word) for word in line.split()[1:]])
        cpu = self.cpu() - before
        lasted = max(end for _, _, end in times) - min(begin for begin, _, _ in times)
        loop = sum(used for _, used, _ in times) / count
        return Logged(count / lasted, cpu / count * 1e6, loop * 1e6)


@contextmanager
def _service(database: str | None) -> Iterator[Service]:
    root, port = Path(tempfile.mkdtemp(prefix="sb-points-")), free_port()
    env = os.environ | {"SUBMARINE_HOME": str(root), "SUBMARINE_PORT": str(port), "SUBMARINE_LOG_LEVEL": "WARNING"}
    if database:
        env["SUBMARINE_MLFLOW_DATABASE_URL"] = database
    process = subprocess.Popen([sys.executable, "-m", "submarine_ray.app"], env=env)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if httpx.get(f"{url}/ready", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        yield Service(url, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(root, ignore_errors=True)


def points(bench: Bench) -> None:
    """Points a second and CPU a point."""
    with ExitStack() as stack:
        _measure(bench, stack.enter_context(_service(None)), "SQLite")
    if not shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        print("MariaDB's server is not installed: its lines are left out", flush=True)
        return
    directory = Path(tempfile.mkdtemp(prefix="sb-db-"))
    server = MariaDb(directory)
    server.start()
    try:
        with _service(server.database("points")) as service:
            _measure(bench, service, "MariaDB")
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _measure(bench: Bench, service: Service, where: str) -> None:
    service.log("ours", 1_000), service.log("log_batch", 1_000)
    ours = [service.log("ours", POINTS) for _ in range(ROUNDS)]
    ten = [service.log("ours", POINTS, AT_ONCE) for _ in range(ROUNDS)]
    batched = [service.log("log_batch", BATCHED) for _ in range(ROUNDS)]
    single = [service.log("log_metric", SINGLE) for _ in range(ROUNDS)]
    rates, of_ten = [one.rate for one in ours], [one.rate for one in ten]
    bench.add(
        f"log_metric over mlflow.log_metric, {where}", "points/s", rates, [o.rate for o in single], ">= 350", True
    )
    bench.add(
        f"log_metric over MLflow's log_batch, {where}", "points/s", rates, [o.rate for o in batched], ">= 10", True
    )
    bench.add(f"log_metric, {AT_ONCE} runs at once, {where}", "points/s", of_ten, rates, ">= 50,000/s", True)
    bench.add(
        f"the service's CPU for a point, over log_batch's, {where}",
        "microseconds",
        [one.service for one in ours],
        [one.service for one in batched],
        "<= 0.33",
        False,
    )
    bench.add(
        f"log_metric, CPU of the loop a call, {where}", "microseconds", [one.loop for one in ours], [], "3 to 5", False
    )


if __name__ == "__main__":
    from submarine_ray.spec.home import Home

    points(Bench(Home.from_env()))
