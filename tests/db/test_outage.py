"""The database stopped under load: 503 with a clear message, and all resumes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from tests.conftest import MariaDb, spec, wait_until

pytestmark = pytest.mark.db


def test_requests_answer_503_while_the_database_is_down(mariadb: MariaDb, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=mariadb.database("outage_api"))
    app = build(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        kept = client.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
        codes: set[int] = set()
        texts: set[str] = set()
        done = threading.Event()

        def load() -> None:
            while not done.is_set():
                answer = client.post("/api/v1/experiment", json=spec())
                codes.add(answer.status_code)
                if answer.status_code != 200:
                    texts.add(answer.json()["message"])

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        mariadb.stop()
        try:
            wait_until(lambda: 503 in codes, 30, "requests are told that the database is away")
            wait_until(lambda: client.get("/health").json()["database"] == "down", 10, "health tells it")
        finally:
            mariadb.start()
        wait_until(lambda: client.get(f"/api/v1/experiment/{kept}").status_code == 200, 30, "it resumes")
        done.set()
        for thread in threads:
            thread.join()
        assert codes <= {200, 503}
        assert all("database" in text for text in texts)
        assert client.post("/api/v1/experiment", json=spec()).status_code == 200
