"""Three services over one MariaDB, killed, suspended and started again, and the database with them, while people work."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.cli import local_ray, several
from submarine_ray.client.errors import ClientError
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.models import ModelClient, ServeClient
from submarine_ray.client.notebooks import NotebookClient
from tests.conftest import SAVES_A_MODEL, TOKEN, MariaDb, RunningPlatform, free_port, wait_until

pytestmark = [
    pytest.mark.faults, pytest.mark.db, pytest.mark.long,
    pytest.mark.skipif("SUBMARINE_CHAOS" not in os.environ, reason="SUBMARINE_CHAOS=1 runs it, for eight minutes"),
]  # fmt: skip

SERVICES, EXPERIMENTS, NOTEBOOKS, ENDPOINTS = 3, 60, 6, 3
LEASE_SECONDS, SUSPENDED_SECONDS = 10, 60
ENDED = ("Succeeded", "Failed")
ROW = {"inputs": [{"rooms": 2.0, "floor": 1.0}]}


@dataclass
class Outages:
    """When the database was away, or is: what is refused then is no fault."""

    is_one: bool = False
    ended: float = 0.0

    def cover(self, begun: float) -> bool:
        return self.is_one or begun < self.ended


@dataclass
class Work:
    """What users have begun: `known` experiments by number, and numbers whose POST was not answered."""

    platform: RunningPlatform
    marks: Path
    known: dict[int, str] = field(default_factory=dict)
    unanswered: list[int] = field(default_factory=list)

    def submit_all(self) -> None:
        number = 0
        while len(self.known) < EXPERIMENTS:
            mark = self.marks / str(number)
            cmd = f"echo said {number}; echo run >> {mark}; sleep 0.{number % 10}; exit {int(number % 5 == 4)}"
            try:
                self.known[number] = self.platform.submit(cmd, resources="cpu=0.5")
            except (ClientError, httpx.HTTPError):  # it may have been written all the same: then it runs, once
                self.unanswered.append(number)
                time.sleep(0.5)
            number += 1
            time.sleep(0.5)  # people come one after the other

    def open(self) -> list[str]:
        """Those that have not ended."""
        ended = {one["experimentId"] for state in ENDED for one in self.platform.client.list_experiments(state)}
        return [id for id in list(self.known.values()) if id not in ended]


class Reader(threading.Thread):
    """Somebody who looks all the time; what was refused while the database was there is kept."""

    def __init__(self, url: str, outages: Outages) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._outages = outages
        self._done = threading.Event()
        self.refused: list[str] = []
        self.answered = 0

    def run(self) -> None:
        while not self._done.wait(0.3):
            begun = time.monotonic()
            try:  # a client of its own each time: no cookie, no connection that is kept
                ExperimentClient(self._url, TOKEN, patience=15).service.call("GET", "/api/v1/experiment?pageSize=5")
                self.answered += 1
            except (ClientError, httpx.HTTPError) as failure:
                if not self._outages.cover(begun):
                    self.refused.append(f"{type(failure).__name__}: {failure}")

    def end(self) -> None:
        self._done.set()
        self.join(60)


@pytest.fixture
def platform(mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningPlatform]:
    monkeypatch.setenv("SUBMARINE_TOKEN", TOKEN)
    root = Path(tempfile.mkdtemp(prefix="sm-")) / "home"
    name = f"chaos_{uuid.uuid4().hex[:8]}"
    found = RunningPlatform(
        root,
        free_port(),
        {
            "SUBMARINE_TOKEN": TOKEN,
            "SUBMARINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "SUBMARINE_DATABASE_URL": mariadb.database(name),
            "SUBMARINE_MLFLOW_DATABASE_URL": mariadb.database(f"{name}_mlflow"),
        },
    )
    try:
        found.cli("up", "--services", str(SERVICES), "--cpus", "8")
        yield found
    finally:
        found.cli("down", check=False)
        local_ray.forget(found.home)
        shutil.rmtree(root.parent, ignore_errors=True)


def _pid(platform: RunningPlatform, number: int) -> int:
    process = several.one(platform.home, number).process
    assert process is not None
    return process.pid


def _begin_endpoints_and_notebooks(platform: RunningPlatform, directory: Path) -> list[str]:
    (directory / "train.py").write_text(SAVES_A_MODEL)
    trained = platform.submit("python train.py", "Python", code={"syncMode": "local", "url": str(directory)})
    notebooks = NotebookClient(platform.url)
    ids = [
        notebooks.create_notebook({"meta": {"name": f"book-{number}"}, "spec": {"resources": "cpu=0.2"}})["notebookId"]
        for number in range(NOTEBOOKS)
    ]
    assert platform.ended(trained, 180)["status"] == "Succeeded", platform.lines(trained)
    for number in range(ENDPOINTS):
        ModelClient(platform.url).register(f"prices-{number}", trained)
        ServeClient(platform.url).create_serve(f"prices-{number}", 1, resources="cpu=0.2")
    return ids


def _kill(platform: RunningPlatform, number: int) -> None:
    os.kill(_pid(platform, number), signal.SIGKILL)
    time.sleep(1)
    platform.cli("up")


def _restart_database(mariadb: MariaDb, platform: RunningPlatform, outages: Outages) -> None:
    outages.is_one = True
    mariadb.stop()
    time.sleep(2)
    mariadb.start()

    def all_are_well() -> bool:
        found = [several.one(platform.home, number).health for number in range(1, SERVICES + 1)]
        return all(one is not None and one["database"] == "up" for one in found)

    wait_until(all_are_well, 60, "all services have their database again")
    outages.ended, outages.is_one = time.monotonic(), False


def _suspend(platform: RunningPlatform, number: int, work: Work) -> float:
    """How long it took the others to end what was there when one service was suspended, in seconds."""
    pid = _pid(platform, number)
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        there = set(work.known.values())
        wait_until(lambda: there.isdisjoint(_answer(work.open)), SUSPENDED_SECONDS, "the others take its work over")
        needed = time.monotonic() - begun
        time.sleep(max(0.0, SUSPENDED_SECONDS - needed))
    finally:
        os.kill(pid, signal.SIGCONT)
    return needed


def _answer(ask: Any) -> Any:
    while True:
        try:
            return ask()
        except (ClientError, httpx.HTTPError):
            time.sleep(0.5)


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_runs_twice(
    platform: RunningPlatform, mariadb: MariaDb, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(21)
    notebooks = _begin_endpoints_and_notebooks(platform, tmp_path_factory.mktemp("code"))
    outages, work = Outages(), Work(platform, tmp_path)
    reader = Reader(platform.url, outages)
    submitting = threading.Thread(target=work.submit_all, daemon=True)
    reader.start()
    submitting.start()
    acts = ["kill", "kill", "kill", "database", "database", "suspend"]
    rng.shuffle(acts)
    for act in acts:
        time.sleep(rng.uniform(0, 4))  # a random moment is what this test is about
        number = rng.randint(1, SERVICES)
        print(f"{time.strftime('%X')} {act} {number}")
        if act == "kill":
            _kill(platform, number)
        elif act == "database":
            _restart_database(mariadb, platform, outages)
        else:
            print(f"taken over after {_suspend(platform, number, work):.1f} s")
    submitting.join(240)
    wait_until(lambda: not _answer(work.open), 240, "all experiments end")
    reader.end()
    assert reader.answered > 50 and not reader.refused, reader.refused[:5]
    for number, id in work.known.items():
        found = platform.ended(id)
        expected = "Failed" if number % 5 == 4 else "Succeeded"
        assert found["status"] == expected, (number, found)
        assert (tmp_path / str(number)).read_text() == "run\n", number
        assert [line for lines in platform.lines(id).values() for line in lines] == [f"said {number}"], number
    for number in work.unanswered:
        mark = tmp_path / str(number)
        assert not mark.exists() or mark.read_text() == "run\n", number
    _check_endpoints_and_notebooks(platform, notebooks)


def _runs(client: NotebookClient, id: str) -> bool:
    return bool(client.get_notebook(id)["status"] == "running")


def _check_endpoints_and_notebooks(platform: RunningPlatform, notebooks: list[str]) -> None:
    client = NotebookClient(platform.url)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for number, id in enumerate(notebooks):
        wait_until(partial(_runs, client, id), 90, f"notebook {id} runs")
        answer = httpx.get(f"{platform.url}/notebook/default/book-{number}/api/kernels", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
    for number in range(ENDPOINTS):
        endpoint = ServeClient(platform.url).wait_until_running(f"prices-{number}", 1, timeout=120)
        answer = httpx.post(endpoint["invocationsUrl"], json=ROW, timeout=30)
        assert answer.status_code == 200 and answer.json()["predictions"] == pytest.approx([210]), answer.text
