"""Real processes are killed; nothing is lost and nothing runs twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from submarine_ray.cli import local_ray, processes
from submarine_ray.client.notebooks import NotebookClient
from tests.conftest import MariaDb, RunningPlatform, wait_until
from tests.jupyter import Jupyter

pytestmark = pytest.mark.faults

# What the newest experiment has come to when the service is killed: its row just written; submitted; running; ended, its
# log being kept. And a moment of its own after each.
MOMENTS = ("Accepted", "Created", "Running", "ended", "whenever")
# Ray starts two processes for each job, two seconds of a core.
THREADS = 20
EACH = int(os.environ.get("SUBMARINE_SUBMISSIONS", "40")) // THREADS


@pytest.mark.long
def test_killing_the_service_at_any_moment_loses_and_doubles_nothing(platform: RunningPlatform, tmp_path: Path) -> None:
    kills, experiments = 10, 20
    rng = random.Random(7)
    ids = []
    killed = 0
    while len(ids) < experiments or killed < kills:
        for _ in range(experiments // kills):
            if len(ids) < experiments:
                number = len(ids)
                ids.append(
                    platform.submit(
                        f"echo run >> {tmp_path}/{number}; sleep 0.3; exit {number % 2}", resources="cpu=0.2"
                    )
                )
        _wait_for_moment(platform, ids[-1], MOMENTS[killed % len(MOMENTS)])
        time.sleep(rng.uniform(0.0, 0.05))  # a random moment is what this test is about
        os.kill(platform.service_pid(), signal.SIGKILL)
        killed += 1
        platform.up()
    ended = [platform.ended(id, 240) for id in ids]
    assert [e["status"] for e in ended] == ["Failed" if n % 2 else "Succeeded" for n in range(experiments)]
    assert [(tmp_path / str(n)).read_text() for n in range(experiments)] == ["run\n"] * experiments
    assert len({e["experimentId"] for e in platform.client.list_experiments()}) == len(
        platform.client.list_experiments()
    )


POINTS = 60_000
LOGS = f"""
import os, time, submarine_ray as submarine
def wait(name):
    while not os.path.exists(os.environ["DIRECTORY"] + "/" + name):
        time.sleep(0.05)
for step in range({POINTS}):
    if step == {POINTS // 2}:
        wait("half")
    submarine.log_metric("loss", step / 7, step)
wait("end")
"""


def test_metrics_outlive_the_service_and_the_runner(platform: RunningPlatform, tmp_path: Path) -> None:
    """Killed in the middle, the service stores each point once; what a killed runner left, it stores later."""
    (tmp_path / "log.py").write_text(LOGS)
    code = {"syncMode": "local", "url": str(tmp_path)}
    command = f"env DIRECTORY={tmp_path} python log.py"
    ids = [platform.submit(command, "Python", code=code, resources="cpu=0.5") for _ in range(2)]
    spools = [platform.home.work / id / id / "worker-0" / ".metrics.jsonl" for id in ids]

    def have_logged(count: int) -> bool:
        return all(spool.exists() and spool.read_bytes().count(b"\n") == count for spool in spools)

    wait_until(lambda: have_logged(POINTS // 2), 120, "half is logged")
    os.kill(platform.service_pid(), signal.SIGKILL)
    (tmp_path / "half").touch()
    wait_until(lambda: have_logged(POINTS), 120, "all is logged")
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or ()
        if "submarine_ray.runner" in words and any(ids[1] in word for word in words):
            process.kill()
    platform.up()

    def is_stored(id: str) -> bool:
        return [point["step"] for point in platform.client.metrics(id)] == [POINTS - 1]

    # The runner that lives sends what it has while its script goes on: it waits for a service's start only so long.
    wait_until(lambda: is_stored(ids[0]), 120, "the living runner's metrics are stored")
    (tmp_path / "end").touch()
    assert [platform.ended(id)["status"] for id in ids] == ["Succeeded", "Failed"]
    for id in ids:
        wait_until(lambda id=id: is_stored(id), 60, "all is stored")
        found = platform.client.metrics(id, "loss")
        assert sorted((p["step"], p["value"]) for p in found) == [(step, step / 7) for step in range(POINTS)]

    def loaded(id: str) -> list[str]:
        told = platform.client.service.call("GET", f"/api/v1/experiment/{id}/events")
        return [event["message"] for event in told if event["reason"] == "MetricsLoaded"]

    wait_until(lambda: loaded(ids[1]), 30, "the event that tells what was loaded")
    assert loaded(ids[0]) == []


@pytest.mark.long
def test_a_killed_jupyterlab_starts_again_with_its_files(platform: RunningPlatform) -> None:
    client = NotebookClient(platform.url)
    id = client.create_notebook({"meta": {"name": "killed"}, "spec": {"resources": "cpu=0.5"}})["notebookId"]
    wait_until(lambda: client.get_notebook(id)["status"] == "running", 90, "the notebook runs")
    jupyter = Jupyter(f"{platform.url}/notebook/default/killed")
    body = {"type": "file", "format": "text", "content": "kept"}
    jupyter.http.put("/api/contents/file.txt", json=body).raise_for_status()
    kernel = jupyter.kernel()
    server = int(kernel.run("import os; os.getppid()"))
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: len([e for e in client.events(id) if e["to"] == "running"]) == 2, 90, "it runs again")
    assert jupyter.http.get("/api/contents/file.txt").raise_for_status().json()["content"] == "kept"
    assert jupyter.http.get("/api/kernels").json() == []
    told = [event["reason"] for event in client.events(id)]
    assert told == ["Accepted", "Submitted", "Running", "Restarted", "Submitted", "Running"]
    client.delete_notebook(id)


def _wait_for_moment(platform: RunningPlatform, id: str, moment: str) -> None:
    """Until the experiment has come so far, or further."""
    if moment == "whenever":
        return
    states = ["Accepted", "Created", "Running", "ended"]

    def come_so_far() -> bool:
        status = platform.client.get_experiment(id)["status"]
        return states.index(status if status in states else "ended") >= states.index(moment)

    wait_until(come_so_far, 60, f"{id} is {moment}")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_many_submissions_from_20_threads(platform: RunningPlatform) -> None:
    ids: list[str] = []
    failed: list[BaseException] = []
    slow: list[float] = []
    done = threading.Event()

    def submit() -> None:
        try:
            ids.extend([platform.submit("true", resources="cpu=0.1") for _ in range(EACH)])
        except BaseException as failure:
            failed.append(failure)

    def read() -> None:
        while not done.is_set():
            begun = time.monotonic()
            httpx.get(f"{platform.url}/api/v1/experiment", params={"pageSize": 20}, timeout=10).raise_for_status()
            slow.append(time.monotonic() - begun)
            time.sleep(0.1)

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=submit) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(set(ids)) == THREADS * EACH

    def all_ended() -> bool:
        found = {e["experimentId"]: e["status"] for e in platform.client.list_experiments("Succeeded")}
        return set(ids) <= set(found)

    deadline = time.monotonic() + 800
    while not all_ended() and time.monotonic() < deadline:
        time.sleep(1)
    done.set()
    reader.join()
    left = [e for e in platform.client.list_experiments() if e["experimentId"] in ids and e["status"] != "Succeeded"]
    assert not left, [(e["experimentId"], e["status"], e["message"]) for e in left[:5]]
    assert slow


@pytest.mark.long
def test_a_killed_head_is_noticed_and_a_new_attempt_made(
    make_platform: Callable[[], RunningPlatform], tmp_path: Path
) -> None:
    platform = make_platform()
    marks = tmp_path / "retried"
    retried = platform.submit(f"echo run >> {marks}; test $(wc -l < {marks}) -gt 1 || sleep 60", maxRetries=1)
    lost = platform.submit(f"echo run >> {tmp_path}/lost; sleep 60")
    wait_until(lambda: marks.exists() and (tmp_path / "lost").exists(), 60, "both run")
    states = lambda: {platform.client.get_experiment(id)["status"] for id in (retried, lost)}  # noqa: E731
    wait_until(lambda: states() == {"Running"}, 60, "the service has seen that both run")
    known = processes.load(platform.home.ray_state)
    assert known
    for process in [*processes.marked(local_ray.MARK, str(platform.home.root)), known[0].process()]:
        with contextlib.suppress(psutil.NoSuchProcess):  # some end because another did
            if process and (process.pid == known[0].pid or process.name() in ("gcs_server", "raylet")):
                process.kill()
    assert httpx.get(f"{platform.url}/health").status_code == 200
    assert platform.client.get_experiment(lost)["status"] == "Running"  # an outage changes no row
    platform.up()
    ended = platform.ended(lost, 90)
    assert (ended["status"], ended["reason"]) == ("Failed", "lost")
    again = platform.ended(retried, 120)
    assert (again["status"], again["attempt"]) == ("Succeeded", 2)
    agents = processes.writing_below(local_ray.temp_dir(platform.home), "ray::DashboardAgent")
    assert len(agents) == 1  # the old head's is gone, though it hides its environment; the new one's has run a job
    assert marks.read_text() == "run\n" * 2
    assert (tmp_path / "lost").read_text() == "run\n"


@pytest.mark.long
@pytest.mark.db
def test_a_database_outage_delays_experiments_and_loses_none(
    make_platform: Callable[..., RunningPlatform], mariadb: MariaDb, tmp_path: Path
) -> None:
    platform = make_platform({"SUBMARINE_DATABASE_URL": mariadb.database("outage_platform")})
    ids = [platform.submit(f"echo run >> {tmp_path}/{i}; sleep 1", resources="cpu=0.5") for i in range(6)]
    wait_until(lambda: (tmp_path / "0").exists(), 60, "the first one runs")
    mariadb.stop()
    try:
        said = wait_until(lambda: _refusal(platform), 30, "the service says that its database is away")
        assert said.status_code == 503 and "database" in said.json()["message"]
    finally:
        mariadb.start()
    assert [platform.ended(id, 60)["status"] for id in ids] == ["Succeeded"] * len(ids)
    assert [(tmp_path / str(i)).read_text() for i in range(len(ids))] == ["run\n"] * len(ids)


def _refusal(platform: RunningPlatform) -> httpx.Response | None:
    answer = httpx.get(f"{platform.url}/api/v1/experiment", timeout=30)
    return None if answer.status_code == 200 else answer


@pytest.mark.long
def test_up_repairs_a_half_running_platform_and_down_leaves_nothing(
    make_platform: Callable[[dict[str, str]], RunningPlatform],
) -> None:
    # Behind a proxy that leads nowhere: what is said on this machine needs none.
    platform = make_platform({"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"})
    id = platform.submit("python -c \"import submarine_ray; submarine_ray.log_metric('loss', 0.5, 1)\"", "Python")
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    assert [(one["step"], one["value"]) for one in platform.client.metrics(id, "loss")] == [(1, 0.5)]
    os.kill(platform.service_pid(), signal.SIGKILL)
    assert platform.cli("status", check=False).returncode == 1
    assert "started: service" in platform.cli("up").stdout
    assert "stopped: service, ray" in platform.cli("down").stdout
    root = str(platform.home.root)
    assert not processes.marked(local_ray.MARK, root) and not processes.marked("SUBMARINE_HOME", root)
    assert "nothing was running" in platform.cli("down").stdout
