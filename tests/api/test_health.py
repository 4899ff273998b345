"""Health says what is, at once, whatever else goes wrong."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from submarine_ray.core.database import Database
from submarine_ray.core.health import Health, Watched
from tests.conftest import START_SECONDS, spec, wait_until
from tests.service import serving

API_THREADS = 40
SEEN_SECONDS = 60  # health is looked at every five seconds, and a look takes as long on a busy machine


def test_what_is_wrong_is_said_and_requests_that_would_be_lost_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submarine_ray.core.health.FRESH_SECONDS", 0.1)
    home = tmp_path / "home"
    with serving(home) as (url, platform), httpx.Client(base_url=url, timeout=30) as client:

        def problems() -> str:
            return " ".join(client.get("/health").json()["problems"])

        wait_until(lambda: client.get("/ready").status_code == 200, START_SECONDS, "the service is ready")
        assert client.get("/health").json()["status"] == "ok" and not problems()

        platform.health._watched = platform.health._watched.__class__(
            **{**vars(platform.health._watched), "free_bytes": 2**60}
        )
        wait_until(lambda: "nearly full" in problems(), SEEN_SECONDS, "a full disk is told")
        assert client.get("/ready").status_code == 200, "it can still be written"
        assert client.get("/health").json()["status"] == "degraded"
        assert str(tmp_path) not in problems(), "strangers may ask"

        stop = "CREATE TRIGGER full BEFORE UPDATE ON heartbeat BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        with platform.database.session(write=True) as session:
            session.execute(text(stop))
        wait_until(lambda: client.get("/ready").status_code == 503, SEEN_SECONDS, "what cannot be written is not ready")
        assert "cannot be written to (disk I/O error)" in problems()
        with platform.database.session(write=True) as session:
            session.execute(text("DROP TRIGGER full"))
        wait_until(lambda: client.get("/ready").status_code == 200, SEEN_SECONDS, "it is ready again")

        before = client.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
        for file in home.glob("submarine.db*"):
            file.unlink()
        wait_until(
            lambda: client.get("/ready").status_code == 503, SEEN_SECONDS, "a database that is gone is not ready"
        )
        assert client.get("/health").json()["database"] == "lost"
        assert "its file was removed" in problems() and "/proc/PID/fd" in problems()
        refused = client.post("/api/v1/experiment", json=spec())
        assert refused.status_code == 503 and "would be lost" in refused.json()["message"]
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get(f"/api/v1/experiment/{before}").status_code == 200, "what is there can be read"


def test_health_answers_while_all_threads_of_the_api_are_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, begun = threading.Event(), []

    def wait(id: str) -> dict[str, str]:
        begun.append(id)
        release.wait(300)
        return {}

    with serving(tmp_path) as (url, platform), ThreadPoolExecutor(API_THREADS) as pool:
        monkeypatch.setattr(platform.experiments, "get", wait)
        for number in range(API_THREADS):
            pool.submit(httpx.get, f"{url}/api/v1/experiment/x{number}", timeout=300)
        try:
            wait_until(lambda: len(begun) == API_THREADS, 120, "all threads are busy")
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"{url}/api/v1/environment", timeout=1.0)
            assert httpx.get(f"{url}/health", timeout=20).json()["database"] == "up"
        finally:
            release.set()


def test_a_database_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    health = Health(Watched("service", {"The database": lambda: database}, {"home": tmp_path}, 0))
    assert health.report().can_write
    health._look()
    assert health.report() == health._report and health.report().problems == ()
    health._begun = time.monotonic() + 0.001
    monkeypatch.setattr("submarine_ray.core.health.STUCK_SECONDS", -1.0)
    report = health.report()
    assert not report.can_write and "has not answered" in report.problems[0]
    database.close()
