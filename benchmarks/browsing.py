"""What benchmarks of pages share: a fresh browser, and runs with many points."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from submarine_ray.core.clock import now_ms
from tests.browser.conftest import Service

BEGAN_MS_AGO = 10**9
READY = "() => window.did_handshake === true"


def opened(browser: Browser, url: str, shown: Callable[[Page], Any]) -> float:
    """Seconds until a page that nobody has opened before shows something, its scripts not yet in the cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        begun = time.perf_counter()
        page.goto(url, wait_until="commit")
        shown(page)
        return time.perf_counter() - begun
    finally:
        context.close()


def tracking(service: Service) -> sqlite3.Connection:
    """MLflow's database."""
    return sqlite3.connect(service.home.root / "mlflow.db", timeout=60)


def new_run(service: Service, metrics: Mapping[str, int], tags: Mapping[str, str] | None = None) -> str:
    """A run with so many points of each metric."""
    tagged = [{"key": key, "value": value} for key, value in (tags or {}).items()]
    made = httpx.post(
        f"{service.url}/mlflow/api/2.0/mlflow/runs/create",
        json={"experiment_id": "0", "start_time": now_ms() - BEGAN_MS_AGO, "run_name": "curves", "tags": tagged},
        timeout=60,
    ).json()
    run = str(made["run"]["info"]["run_id"])
    with closing(tracking(service)) as database:
        for key, points in metrics.items():
            write(database, run, key, range(points))
    return run


def write(database: sqlite3.Connection, run: str, key: str, steps: range) -> None:
    """Points of a metric, a millisecond apart."""
    began = now_ms() - BEGAN_MS_AGO
    rows = [(run, key, 1 / (1 + step % 997), began + step, step) for step in steps]
    into = "(run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
    database.executemany(f"INSERT INTO metrics {into}", rows)
    database.execute(f"INSERT OR REPLACE INTO latest_metrics {into}", rows[-1])
    database.commit()
