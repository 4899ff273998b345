"""Logs far larger than what a service may hold of them: read by many at once, from a service in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.core import sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.home import Home
from tests.conftest import START_SECONDS, free_port, spec, users_environment, wait_until

MB = 10**6
READERS = 10
MOST_GROWTH = 100 * MB  # of all readers together


class Service:
    """A control service without a cluster, and what lies in its home."""

    def __init__(self, root: Path) -> None:
        port = free_port()
        self.home = Home(root)
        self.url = f"http://127.0.0.1:{port}"
        env = users_environment() | {"SUBMARINE_HOME": str(root), "SUBMARINE_PORT": str(port)}
        env["SUBMARINE_MIN_FREE_BYTES"] = str(2**62)  # so that its health is degraded
        self._log = (root / "out").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "submarine_ray.app"], env=env, stdout=self._log, stderr=self._log
        )
        wait_until(self._is_ready, START_SECONDS, "the service is ready")
        self.database = Database(f"sqlite:///{self.home.database}")
        sealed.use(self.database.engine, SecretBox(self.home.secret_key))

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        return False

    def stop(self) -> None:
        self.database.close()
        self.process.terminate()
        self.process.wait(30)
        self._log.close()

    def add(self, status: str, run: str | None) -> str:
        """An experiment of one replica, archived if it has ended; its id."""
        id = f"experiment-{now_ms()}-{uuid.uuid4().hex[:4]}"
        row = ExperimentRow(
            id=id, uid="u", name="test", framework="Shell", cluster="local", spec=json.dumps(spec()), generation=1,
            wanted="run", status=status, accepted_ms=now_ms(), created_ms=now_ms(), running_ms=now_ms(), superseded="",
            archived=run is not None, run_id=run, next_check_ms=None,
        )  # fmt: skip
        with self.database.session(write=True) as session:
            session.add(row)
        return id

    def archived(self, size: int) -> str:
        """An experiment that has ended, whose replica has written so much."""
        api = f"{self.url}/mlflow/api/2.0/mlflow/runs"
        made = httpx.post(f"{api}/create", json={"experiment_id": "0", "start_time": now_ms()}, timeout=30).json()
        place = made["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        file = self.home.artifacts / place / "logs" / "worker-0.log"
        file.parent.mkdir(parents=True)
        write(file, size, "")
        return self.add("Succeeded", made["run"]["info"]["run_id"])

    def running(self, size: int) -> str:
        """One that runs, on a local cluster that has a log and does not answer."""
        ray = self.home.root / "ray"
        id = self.add("Running", None)
        file = ray / "session_1" / "logs" / f"job-driver-{id}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, size, "[worker-0] ")
        self.home.ray_token.write_text("t")
        state = {"address": "http://127.0.0.1:9", "directory": str(ray), "serveHost": "127.0.0.1", "servePort": 9}
        self.home.ray_state.write_text(json.dumps(state))
        return id

    def memory(self, field: str) -> int:
        """The process's memory now (VmRSS) or at most since `forget` (VmHWM), in bytes."""
        found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024

    def forget(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def write(file: Path, size: int, prefix: str) -> None:
    """A log of numbered lines."""
    line = prefix + "step %09d loss 0.123456 accuracy 0.987654 learning rate 0.001\n"
    step = 10_000
    with file.open("w") as opened:
        for begin in range(0, size // len(line % 0), step):
            opened.write("".join(line % number for number in range(begin, begin + step)))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


def read(service: Service, path: str) -> int:
    """How many bytes came."""
    total = 0
    with httpx.stream("GET", f"{service.url}/api/v1/experiment/logs/{path}", timeout=600) as answer:
        assert answer.status_code == 200, answer.read()
        for piece in answer.iter_raw():
            total += len(piece)
    return total


def test_pages_say_what_is_wrong_with_the_service(service: Service) -> None:
    page = httpx.get(service.url, headers={"Accept": "text/html"}, timeout=60)
    assert page.status_code == 200 and "The disk of the home directory is nearly full" in page.text


def test_artifacts_that_are_read_slowly_hold_neither_memory_nor_threads(service: Service) -> None:
    id = service.archived(60 * MB)
    with service.database.session() as session:
        run = session.get(ExperimentRow, id).run_id
    paths = [
        f"/mlflow/get-artifact?path=logs/worker-0.log&run_uuid={run}",
        f"/api/v1/experiment/{id}/artifact?path=logs/worker-0.log",
    ]
    with httpx.Client(base_url=service.url, timeout=60) as client:
        begin = client.get(paths[0], headers={"Range": "bytes=0-9"})
        assert begin.status_code == 206 and len(begin.content) == 10
        assert begin.headers["Content-Disposition"].startswith("attachment")
        assert begin.headers["X-Content-Type-Options"] == "nosniff" and begin.headers["Content-Type"] == "text/plain"
    before = service.memory("VmRSS")
    service.forget()
    with contextlib.ExitStack() as opened:
        for _ in range(45):  # more than the API has threads
            for path in paths:
                answer = opened.enter_context(httpx.stream("GET", f"{service.url}{path}", timeout=60))
                assert answer.status_code == 200 and int(answer.headers["Content-Length"]) > 50 * MB
        assert httpx.get(f"{service.url}/api/v1/experiment/{id}", timeout=30).status_code == 200
        growth = service.memory("VmHWM") - before
    assert growth < MOST_GROWTH, f"{growth / MB:.0f} MB"


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="memory's peak cannot be reset")
@pytest.mark.parametrize("size", [60 * MB, pytest.param(1000 * MB, marks=pytest.mark.long)])
def test_many_readers_of_a_large_log_hold_little_of_it(service: Service, size: int) -> None:
    small, archived, running = service.archived(MB), service.archived(size), service.running(size)
    for path in (small, f"{small}/text", f"{small}/stream", f"{small}?tail=10"):
        read(service, path)
    whole, some = [archived, f"{archived}/text", running], [f"{archived}?tail=1000", f"{running}?offset=400000&limit=9"]
    paths = (whole + some + [f"{archived}/stream?tail=10", f"{running}/stream?follow=false"]) * 2
    before = service.memory("VmRSS")
    service.forget()
    with ThreadPoolExecutor(READERS) as pool:
        sizes = list(pool.map(lambda path: read(service, path), paths[:READERS]))
    assert min(sizes[:3]) > 0.8 * size
    assert max(sizes[3:5]) < MB
    growth = service.memory("VmHWM") - before
    print(f"{growth / MB:.0f} MB for {READERS} readers of {size / MB:.0f} MB")
    assert growth <= MOST_GROWTH, f"{growth / MB:.0f} MB for {READERS} readers of {size / MB:.0f} MB"


def test_a_log_is_read_and_followed_from_any_line(service: Service) -> None:
    for id, is_live in ((service.running(MB), True), (service.archived(MB), False)):
        at = f"{service.url}/api/v1/experiment/logs/{id}"

        def asked(what: str, at: str = at) -> Any:
            answer = httpx.get(f"{at}/{what}", timeout=60)
            return answer.json()["result"] if answer.status_code == 200 else (answer.status_code, answer.text)

        found = asked("lines?offset=7&limit=2")
        total = found["total"]
        assert [(one["replica"], one["line"][:14]) for one in found["lines"]] == [
            ("worker-0", "step 000000007"), ("worker-0", "step 000000008")
        ]  # fmt: skip
        assert (found["offset"], found["isLive"], found["isOrdered"]) == (7, is_live, True)
        last = asked("lines?last=true&limit=1&replica=worker-0")
        assert last["offset"] == total - 1 and last["lines"][0]["line"].startswith(f"step {total - 1:09d}")
        assert asked(f"lines?offset={10**6}")["lines"] == []
        assert asked("matches?text=STEP%20000000012") == {"lines": [12], "isComplete": True}
        assert asked("matches?errors=true")["lines"] == []
        assert asked("matches")[0] == asked("matches?text=a&errors=true")[0] == 400
        if is_live:  # its cluster does not answer: what is known is told, and the stream ends
            told = httpx.get(f"{at}/stream?after={total - 2}", timeout=60).text.splitlines()
            assert [json.loads(line)["line"][:14] for line in told] == [f"step {n:09d}" for n in (total - 2, total - 1)]
