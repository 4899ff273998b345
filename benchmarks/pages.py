"""The workbench in headless Chromium: how soon pages stand, what they cost the service, and MLflow's own UI beside it."""

from __future__ import annotations

import ast
import asyncio
import re
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import psutil
import socketio
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.harness import Bench
from benchmarks.log_pages import logs
from submarine_ray.core import events
from submarine_ray.core.clock import now_ms
from tests.browser.conftest import CHROMIUM, Service

ROUNDS = 7
MANY, FEW = 10_000, 20
RUNS, POINTS, MLFLOW_POINTS = 1000, 1_000_000, 100_000
BEGAN_MS_AGO = 10**9
CONNECTED, WATCHED_SECONDS = 100, 30
READY = "() => window.did_handshake === true"
# How many points each curve of the first chart has.
DRAWN = """() => [...document.querySelectorAll('figure')].map(
    one => getElement(Number(one.id.slice(1))).series.map(series => series.x.length)).flat()"""


def pages(bench: Bench) -> None:
    """Two services of their own, without a cluster: one with little in it, one with much."""
    with tempfile.TemporaryDirectory(prefix="sp-") as directory:
        roots = [Path(directory, name) for name in ("few", "many")]
        for root in roots:
            root.mkdir()
        few, many = (Service(root) for root in roots)
        try:
            few.add(FEW)
            many.add(MANY)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                _first_page(bench, browser, many)
                _tables(bench, browser, few, many)
                _curves(bench, browser, few)
                logs(bench, browser, few)
                _beside_mlflow(bench, browser, few)
                browser.close()
            _connected(bench, many)
        finally:
            for service in (few, many):
                service.stop()
                service.database.close()


def _opened(browser: Browser, url: str, shown: Callable[[Page], Any]) -> float:
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


def _first_page(bench: Bench, browser: Browser, service: Service) -> None:
    def interactive(page: Page) -> None:
        page.get_by_role("link", name="All 10,000").wait_for()
        page.wait_for_function(READY)

    taken = [_opened(browser, f"{service.url}/", interactive) for _ in range(ROUNDS + 1)][1:]
    bench.add("the first page, cold cache, until it is drawn and answers", "s", taken, [], "<= 1.5 s", False)


def _tables(bench: Bench, browser: Browser, few: Service, many: Service) -> None:
    def rows(page: Page) -> None:
        page.locator("tbody tr").nth(FEW - 1).wait_for()

    def both() -> tuple[float, float]:
        return _opened(browser, f"{many.url}/experiments", rows), _opened(browser, f"{few.url}/experiments", rows)

    both()
    pairs = [both() for _ in range(ROUNDS)]
    ours, other = ([pair[side] for pair in pairs] for side in (0, 1))
    bench.add(f"experiments page with {MANY:,} rows over {FEW}", "s", ours, other, "<= 1.2", False)


def _curves(bench: Bench, browser: Browser, service: Service) -> None:
    experiment = service.add(1, "a-million", run_id=_run(service, {"loss": POINTS}))[0]
    drawn: list[int] = []

    def curve(page: Page) -> None:
        page.locator(".chart canvas").first.wait_for()

    def counted(page: Page) -> None:
        curve(page)
        page.wait_for_function(READY)
        drawn[:] = page.evaluate(DRAWN)

    url = f"{service.url}/experiments/{experiment}"
    _opened(browser, f"{url}?tab=metrics", counted)
    taken: list[float] = []

    def clicked(page: Page) -> None:
        page.wait_for_function(READY)
        begun = time.perf_counter()
        page.get_by_role("tab", name="Metrics").click()
        curve(page)
        taken.append(time.perf_counter() - begun)

    for _ in range(ROUNDS):
        _opened(browser, url, clicked)
    bench.add(f"{POINTS:,} points, from the click on Metrics to the chart", "s", taken, [], "<= 1 s", False)
    bench.add("points of such a curve over the wire", "points", [float(max(drawn))], [], "<= 5000", False)


def _beside_mlflow(bench: Bench, browser: Browser, service: Service) -> None:
    with closing(_tracking(service)) as database:
        added = [uuid.uuid4().hex for _ in range(RUNS)]
        database.executemany(
            "INSERT INTO runs (run_uuid, name, experiment_id, start_time, end_time, status, lifecycle_stage, source_type,"
            " artifact_uri, user_id, source_name, entry_point_name, source_version)"
            " VALUES (?, ?, 0, ?, ?, 'FINISHED', 'active', 'LOCAL', 'mlflow-artifacts:/0/x', 'me', '', '', '')",
            [(id, f"listed-{n}", now_ms() - n, now_ms()) for n, id in enumerate(added)],
        )
        database.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)",
            [(f"listed-{n}", id) for n, id in enumerate(added)],
        )
        database.commit()
    service.add(RUNS, "listed")
    run = _run(service, {"loss": MLFLOW_POINTS})
    experiment = service.add(1, "compared", run_id=run)[0]

    def row(page: Page) -> None:
        page.get_by_role("link", name=re.compile(r"^listed-\d+$")).first.wait_for()

    def chart(selector: str) -> Callable[[Page], Any]:
        return lambda page: page.locator(selector).first.wait_for(state="attached")

    ui = f"{service.url}/mlflow/#/experiments/0"
    jobs: dict[str, list[Callable[[], float]]] = {
        f"list of {RUNS:,} runs, time to its rows, over MLflow's UI": [
            lambda: _opened(browser, f"{service.url}/experiments", row),
            lambda: _opened(browser, f"{ui}/runs", row),
        ],
        f"page of a run with {MLFLOW_POINTS:,} points, time to its chart, over MLflow's UI": [
            lambda: _opened(browser, f"{service.url}/experiments/{experiment}?tab=metrics", chart(".chart canvas")),
            lambda: _opened(browser, f"{ui}/runs/{run}/model-metrics", chart(".js-plotly-plot .scatterlayer path")),
        ],
    }
    for name, (ours, theirs) in jobs.items():
        ours(), theirs()
        pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
        bench.add(name, "s", *map(list, zip(*pairs, strict=True)), "<= 0.7", False)  # type: ignore[arg-type]


def _connected(bench: Bench, service: Service) -> None:
    """A hundred pages: most of them lists, a third of them on a run that logs ten points a second."""
    run = _run(service, {"loss": 1000})
    live = service.add(1, "live", run_id=run, status="Running", finished_ms=None, archived=False)[0]
    paths = ["/", "/experiments", f"/experiments/{live}?tab=metrics"]
    process = psutil.Process(service.pid)
    resident = process.memory_info().rss
    quiet = _cpu(process, WATCHED_SECONDS)
    watched = asyncio.run(_watch(service, run, live, [paths[n % 3] for n in range(CONNECTED)], process))
    bench.add(f"CPU of the service with {CONNECTED} live pages", "% of a core", [watched["cpu"]], [], "< 100 %", False)
    bench.add("the same without a page", "% of a core", [quiet], [], "a figure", False)
    bench.add("messages that a live page is sent", "a minute", [watched["messages"]], [], "a figure", False)
    each = (watched["resident"] - resident) / CONNECTED / 2**20
    bench.add("memory of a connected page", "MiB", [each], [], "a figure", False)


async def _watch(service: Service, run: str, live: str, paths: list[str], process: psutil.Process) -> dict[str, float]:
    clients = [socketio.AsyncClient(reconnection=False) for _ in paths]
    heard = [0]
    try:
        async with httpx.AsyncClient(timeout=60) as http:
            for client, path in zip(clients, paths, strict=True):
                client.on("*", lambda *_: heard.__setitem__(0, heard[0] + 1))
                await _connect(client, http, service.url, path)
        logging = asyncio.create_task(_log(service, run, live))
        await asyncio.sleep(5)
        heard[0] = 0
        cpu = await asyncio.to_thread(_cpu, process, WATCHED_SECONDS)
        logging.cancel()
        messages = heard[0] / len(paths) * 60 / WATCHED_SECONDS
        return {"cpu": cpu, "messages": messages, "resident": float(process.memory_info().rss)}
    finally:
        for client in clients:
            await client.disconnect()


async def _connect(client: socketio.AsyncClient, http: httpx.AsyncClient, url: str, path: str) -> None:
    """Open a page as a browser does: its HTML, then the socket that it names."""
    found = re.search(r"query: (\{[^}]*\})", (await http.get(f"{url}{path}")).text)
    assert found
    own = {"document_id": str(uuid.uuid4()), "tab_id": str(uuid.uuid4()), "implicit_handshake": "true"}
    query = urlencode(ast.literal_eval(found[1]) | own)
    await client.connect(
        f"{url}?{query}", socketio_path="/_nicegui_ws/socket.io", transports=["websocket"], wait_timeout=20
    )


async def _log(service: Service, run: str, live: str) -> None:
    """What a run does to the service: ten points a second, and something that happens every other second."""
    with closing(_tracking(service)) as database:
        for step in range(1000, 100_000, 10):
            _write(database, run, "loss", range(step, step + 10))
            if step % 20 == 0:
                with service.database.session(write=True) as session:
                    events.record(session, live, [events.Event("Step", f"At step {step}.", "Running", "Running")])
            await asyncio.sleep(1)


def _cpu(process: psutil.Process, seconds: float) -> float:
    process.cpu_percent()
    time.sleep(seconds)
    return process.cpu_percent()


def _tracking(service: Service) -> sqlite3.Connection:
    return sqlite3.connect(service.home.root / "mlflow.db", timeout=60)


def _run(service: Service, metrics: dict[str, int]) -> str:
    """A run with so many points of each metric."""
    made = httpx.post(
        f"{service.url}/mlflow/api/2.0/mlflow/runs/create",
        json={"experiment_id": "0", "start_time": now_ms() - BEGAN_MS_AGO, "run_name": "curves"},
        timeout=60,
    ).json()
    run = str(made["run"]["info"]["run_id"])
    with closing(_tracking(service)) as database:
        for key, points in metrics.items():
            _write(database, run, key, range(points))
    return run


def _write(database: sqlite3.Connection, run: str, key: str, steps: range) -> None:
    began = now_ms() - BEGAN_MS_AGO
    rows = [(run, key, 1 / (1 + step % 997), began + step, step) for step in steps]
    into = "(run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
    database.executemany(f"INSERT INTO metrics {into}", rows)
    database.execute(f"INSERT OR REPLACE INTO latest_metrics {into}", rows[-1])
    database.commit()
