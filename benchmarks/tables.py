"""Tables of experiments that logged much: pages of 100,000 experiments with 200 metrics each, beside pages of 20."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.harness import Bench
from submarine_ray.core import sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.home import Home
from tests.browser.conftest import CHROMIUM, Service

ROUNDS = 7
MANY, FEW, METRICS, PARAMS = 100_000, 20, 200, 10
_SHOWN = [f"metrics.val/metric{number}" for number in range(3)]
_COLUMNS = [("column", name) for name in ["status", "owner", *_SHOWN, "params.p0"]]
PAGES: dict[str, list[tuple[str, str]]] = {
    "newest first": [],
    "by a metric, with 4 logged columns": [*_COLUMNS, ("sort", f"-{_SHOWN[0]}")],
    "filtered by a metric, sorted by another": [
        *_COLUMNS, ("sort", _SHOWN[1]), ("filter", "metrics.val/metric2 >= 0"),
    ],
}  # fmt: skip


def tables(bench: Bench) -> None:
    """Two services of their own, without a cluster. Filling the large one takes minutes and 4 GB of disk."""
    with tempfile.TemporaryDirectory(prefix="st-") as directory:
        roots = [Path(directory, name) for name in ("few", "many")]
        for root, count in zip(roots, (FEW, MANY), strict=True):
            root.mkdir()
            fill(root, count)
        measure(bench, *roots)


def measure(bench: Bench, small: Path, large: Path) -> None:
    """Measure services whose databases are filled."""
    few, many = Service(small), Service(large)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for what, asked in PAGES.items():
                query = urlencode(asked)
                pairs = _pairs(lambda url, query=query: _opened(browser, f"{url}/experiments?{query}"), many, few)
                bench.add(f"page of {MANY:,} x {METRICS}, {what}, over {FEW}", "s", *pairs, "<= 1.2", False)
            browser.close()
        for what, path in _calls().items():
            pairs = _pairs(lambda url, path=path: _called(f"{url}/api/v1/experiment/{path}"), many, few)
            bench.add(f"the same over REST: {what}", "s", *pairs, "a figure", False)
    finally:
        for service in (few, many):
            service.stop()
            service.database.close()


def _calls() -> dict[str, str]:
    shown = [("columns", name) for name in [*_SHOWN, "params.p0"]]
    return {
        "newest first": "table?pageSize=25",
        "by a metric": f"table?{urlencode([('pageSize', '25'), ('sort', f'-{_SHOWN[0]}'), *shown])}",
        "groups by a parameter, three means": f"groups?{urlencode([('by', 'params.p0'), *shown[:3]])}",
    }


def _pairs(act: Callable[[str], float], many: Service, few: Service) -> tuple[list[float], list[float]]:
    act(many.url), act(few.url)
    found = [(act(many.url), act(few.url)) for _ in range(ROUNDS)]
    return [ours for ours, _ in found], [other for _, other in found]


def _opened(browser: Browser, url: str) -> float:
    """Seconds until a page that nobody has opened before shows its rows."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page: Page = context.new_page()
        begun = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.locator("tbody tr").nth(FEW - 1).wait_for(timeout=60_000)
        return time.perf_counter() - begun
    finally:
        context.close()


def _called(url: str) -> float:
    begun = time.perf_counter()
    httpx.get(url, timeout=60).raise_for_status()
    return time.perf_counter() - begun


def fill(root: Path, count: int) -> None:
    """A service's database with experiments that have ended, their tags, and what they logged."""
    home = Home(root)
    database = Database(f"sqlite:///{home.database}")
    sealed.use(database.engine, SecretBox(home.secret_key))
    database.migrate()
    now = now_ms()
    spec = {"meta": {"name": "x", "framework": "Shell", "cmd": "true"}, "spec": {"Worker": {"resources": "cpu=1"}}}
    first = {
        "id": "first", "uid": "u", "name": "x", "framework": "Shell", "cluster": "local", "status": "Succeeded",
        "attempt": 1, "archived": True, "generation": 1, "next_check_ms": None, "spec": json.dumps(spec),
        "accepted_ms": now, "created_ms": now, "running_ms": now, "finished_ms": now,
    }  # fmt: skip
    with database.session(write=True) as session:
        session.add(ExperimentRow(**first))
    database.close()
    with closing(sqlite3.connect(home.database, isolation_level=None)) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN")
        _multiply(connection, count, now)
        _log(connection)
        connection.execute("COMMIT")


def _multiply(connection: sqlite3.Connection, count: int, now: int) -> None:
    """The first experiment so many times, one a second, of 50 owners, 3 frameworks and 20 tags."""
    at = f"{now} - ({count} - n) * 1000"
    changed = {
        "id": f"printf('experiment-%d-%06d', {now}, n)", "uid": "printf('u-%d', n)", "name": "printf('train-%d', n)",
        "framework": "CASE n % 3 WHEN 0 THEN 'Shell' WHEN 1 THEN 'PyTorch' ELSE 'Ray' END",
        "owner": "printf('user-%d', n % 50)",
        "accepted_ms": at, "created_ms": at, "running_ms": at, "finished_ms": f"{at} + 5000",
    }  # fmt: skip
    columns = [row[1] for row in connection.execute("PRAGMA table_info(experiment)")]
    values = ", ".join(changed.get(name, f"experiment.{name}") for name in columns)
    connection.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
        f"INSERT INTO experiment ({', '.join(columns)}) SELECT {values} FROM numbers, experiment WHERE id = 'first'"
    )
    connection.execute("DELETE FROM experiment WHERE id = 'first'")
    connection.execute(
        "INSERT INTO experiment_tag SELECT id, printf('tag-%d', accepted_ms / 1000 % 20) FROM experiment"
    )


def _log(connection: sqlite3.Connection) -> None:
    """Each experiment has a value of each name. The indexes are made at the end, which is much quicker."""
    names = [("param", f"p{number}") for number in range(PARAMS)]
    names += [("metric", f"val/metric{number}") for number in range(METRICS)]
    connection.executemany("INSERT INTO value_name (kind, name) VALUES (?, ?)", names)
    found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'experiment_value' AND sql != ''"
    indexes = connection.execute(found).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(
        "INSERT INTO experiment_value (experiment_id, name_id, number, text) "
        "SELECT id, name, number, CAST(number AS TEXT) FROM (SELECT one.id AS id, value_name.id AS name, "
        f"CASE WHEN value_name.id <= {PARAMS} THEN abs(random()) % 8 ELSE abs(random()) % 1000000 / 1e6 END AS number "
        "FROM (SELECT id FROM experiment ORDER BY id) AS one CROSS JOIN value_name)"
    )
    for _, made in indexes:
        connection.execute(made)
