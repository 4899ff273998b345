"""Three services over one MariaDB, killed, suspended and started again, and the database with them, while people work.

SUBMARINE_SEED=n takes other moments, and another order.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from submarine_ray.cli import local_ray
from submarine_ray.client.models import ModelClient, ServeClient
from submarine_ray.client.notebooks import NotebookClient
from tests.conftest import SAVES_A_MODEL, TOKEN, MariaDb, RunningPlatform, free_port, wait_until
from tests.faults.chaos import LEASE_SECONDS, SERVICES, Outages, Reader, Services, Work, answered

pytestmark = [pytest.mark.faults, pytest.mark.db, pytest.mark.long, pytest.mark.chaos]

EXPERIMENTS, NOTEBOOKS, ENDPOINTS, KILLS = 60, 6, 3, 4
SEED = int(os.environ.get("SUBMARINE_SEED", "21"))
ROW = {"inputs": [{"rooms": 2.0, "floor": 1.0}]}


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


@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_runs_twice(
    platform: RunningPlatform, mariadb: MariaDb, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    notebooks = _begin_endpoints_and_notebooks(platform, tmp_path_factory.mktemp("code"))
    outages, work = Outages(), Work(platform, tmp_path, EXPERIMENTS)
    services = Services(platform, mariadb, outages, platform.env["SUBMARINE_DATABASE_URL"])
    reader = Reader(platform.url, outages)
    submitting = threading.Thread(target=work.submit_all, daemon=True)
    reader.start()
    submitting.start()
    _do_it_all(services, random.Random(SEED))
    submitting.join(240)
    assert len(work.known) == EXPERIMENTS
    wait_until(work.have_ended, 300, "all experiments end")
    wait_until(services.leases.are_at_rest, 120, "all logs are kept")
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


def _do_it_all(services: Services, rng: random.Random) -> None:
    acts = ["kill"] * KILLS + ["database", "database", "suspend"]
    rng.shuffle(acts)
    for act in acts:
        time.sleep(rng.uniform(0, 4))  # a random moment is what this test is about
        number = rng.randint(1, SERVICES)
        print(f"{time.strftime('%X')} {act} {number}")
        if act == "kill":
            services.kill(number, rng.uniform(0, 4))
        elif act == "database":
            services.restart_database()
        else:
            late = services.suspend(number)
            print(f"taken over {late:.2f} leases after its lease had ended")
            assert late < 1


def _runs(client: NotebookClient, id: str) -> bool:
    return bool(answered(lambda: client.get_notebook(id))["status"] == "running")


def _check_endpoints_and_notebooks(platform: RunningPlatform, notebooks: list[str]) -> None:
    client = NotebookClient(platform.url)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for number, id in enumerate(notebooks):
        wait_until(partial(_runs, client, id), 120, f"notebook {id} runs")
        answer = httpx.get(f"{platform.url}/notebook/default/book-{number}/api/kernels", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
    for number in range(ENDPOINTS):
        endpoint = ServeClient(platform.url).wait_until_running(f"prices-{number}", 1, timeout=120)
        answer = httpx.post(endpoint["invocationsUrl"], json=ROW, timeout=30)
        assert answer.status_code == 200 and answer.json()["predictions"] == pytest.approx([210]), answer.text
