"""`submarine up --services 3` with its Ray, as a user does it by docs/several-services.md."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from submarine_ray.cli import front, local_ray, several
from tests.conftest import MariaDb, RunningPlatform, free_port, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.db, pytest.mark.long]

SDK = """
import sys
import submarine_ray as submarine

client = submarine.ExperimentClient()
spec = {
    "meta": {"name": "by-the-sdk", "framework": "Shell", "cmd": sys.argv[1]},
    "spec": {"Worker": {"replicas": 1, "resources": "cpu=0.5"}},
}
print(client.create_experiment(spec)["experimentId"])
"""


@pytest.fixture
def own(mariadb: MariaDb) -> Iterator[RunningPlatform]:
    """A platform that is not up yet."""
    name = f"user_{uuid.uuid4().hex[:8]}"
    databases = {"DATABASE_URL": mariadb.database(name), "MLFLOW_DATABASE_URL": mariadb.database(f"{name}_mlflow")}
    with tempfile.TemporaryDirectory(prefix="sm-", ignore_cleanup_errors=True) as directory:
        found = RunningPlatform(
            Path(directory) / "home", free_port(), {f"SUBMARINE_{key}": url for key, url in databases.items()}
        )
        try:
            yield found
        finally:
            found.cli("down", check=False)
            local_ray.forget(found.home)


def _of_home(own: RunningPlatform) -> dict[int, str]:
    """The processes that belong to this home, or that work in it."""
    found = {}
    for process in psutil.process_iter(["cmdline", "pid"]):
        try:
            command, variables = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(own.home.root) in word for word in (*command, *variables.values())):
            found[process.pid] = " ".join(command)
    return found


def test_a_user_works_with_three_services_and_ray(own: RunningPlatform, page: Page, tmp_path: Path) -> None:
    up = own.cli("up", "--services", "3", "--cpus", "4").stdout
    assert "started: ray, service 1, service 2, service 3, front" in up, up
    status = own.cli("status").stdout
    assert all(f"service {number}" in status for number in (1, 2, 3)), status

    ran = own.cli("run", "--cpus-per-worker", "0.5", "--", "python", "-c", "print('by the', 'CLI')", cwd=tmp_path)
    assert "by the CLI" in ran.stdout, ran.stdout
    end = tmp_path / "end"
    script = [sys.executable, "-c", SDK, f"echo begun; while ! test -e {end}; do sleep 0.1; done; echo ended"]
    made = subprocess.run(script, env=own.env, capture_output=True, text=True, timeout=60)
    id = made.stdout.strip()
    assert made.returncode == 0 and id, made.stderr

    link = re.search(r"http://\S+", own.cli("sign-in").stdout)
    assert link
    page.goto(link[0])
    expect(page).to_have_url(f"{own.url}/")
    page.goto(f"{own.url}/experiments/{id}")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible(timeout=60_000)
    blink = _kill_the_page_s_process(own, page)
    print(f"the page was made again after {blink:.1f} s")
    expect(page).to_have_url(re.compile(re.escape(f"{own.url}/experiments/{id}")))
    expect(page.get_by_text("by-the-sdk").first).to_be_visible()
    assert "started: service" in own.cli("up").stdout
    end.touch()
    expect(page.get_by_text("Succeeded", exact=True).first).to_be_visible(timeout=60_000)
    assert "ended" in own.cli("logs", id).stdout

    mine = _of_home(own)
    assert mine
    own.cli("down")
    wait_until(lambda: not _of_home(own), 20, f"nothing is left of {sorted(mine.values())}")


def _kill_the_page_s_process(own: RunningPlatform, page: Page) -> float:
    """Kill -9 the service that made the page; after how many seconds another has made it again."""
    wait_until(lambda: page.evaluate("window.did_handshake === true && window.socket.connected"), 30, "it is live")
    number = int(next(one["value"] for one in page.context.cookies() if one["name"] == front.COOKIE))
    before = page.evaluate("window.clientId")
    process = several.one(own.home, number).process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    begun = time.monotonic()
    page.wait_for_function("before => window.clientId !== before && window.did_handshake", arg=before, timeout=30_000)
    assert int(next(one["value"] for one in page.context.cookies() if one["name"] == front.COOKIE)) != number
    return time.monotonic() - begun
