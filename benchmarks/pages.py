"""The workbench in headless Chromium: how soon pages stand, what they cost the service, and MLflow's own UI beside it."""

from __future__ import annotations

import ast
import asyncio
import re
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

from benchmarks.browsing import READY, new_run, opened, tracking, write
from benchmarks.charts import curves
from benchmarks.harness import Bench
from benchmarks.log_pages import logs
from submarine_ray.core import events
from submarine_ray.core.clock import now_ms
from tests.browser.conftest import CHROMIUM, Service

ROUNDS = 7
MANY, FEW = 10_000, 20
RUNS, MLFLOW_POINTS = 1000, 100_000
CONNECTED, WATCHED_SECONDS = 100, 30


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
                curves(bench, browser, few)
                logs(bench, browser, few)
                _beside_mlflow(bench, browser, few)
                browser.close()
            _connected(bench, many)
        finally:
            for service in (few, many):
                service.stop()
                service.database.close()


def _first_page(bench: Bench, browser: Browser, service: Service) -> None:
    def interactive(page: Page) -> None:
        page.get_by_role("link", name="All 10,000").wait_for()
        page.wait_for_function(READY)

    taken = [opened(browser, f"{service.url}/", interactive) for _ in range(ROUNDS + 1)][1:]
    bench.add("the first page, cold cache, until it is drawn and answers", "s", taken, [], "<= 1.5 s", False)


def _tables(bench: Bench, browser: Browser, few: Service, many: Service) -> None:
    def rows(page: Page) -> None:
        page.locator("tbody tr").nth(FEW - 1).wait_for()

    def both() -> tuple[float, float]:
        return opened(browser, f"{many.url}/experiments", rows), opened(browser, f"{few.url}/experiments", rows)

    both()
    pairs = [both() for _ in range(ROUNDS)]
    ours, other = ([pair[side] for pair in pairs] for side in (0, 1))
    bench.add(f"experiments page with {MANY:,} rows over {FEW}", "s", ours, other, "<= 1.2", False)


def _beside_mlflow(bench: Bench, browser: Browser, service: Service) -> None:
    with closing(tracking(service)) as database:
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
    run = new_run(service, {"loss": MLFLOW_POINTS})
    experiment = service.add(1, "compared", run_id=run)[0]

    def row(page: Page) -> None:
        page.get_by_role("link", name=re.compile(r"^listed-\d+$")).first.wait_for()

    def chart(selector: str) -> Callable[[Page], Any]:
        return lambda page: page.locator(selector).first.wait_for(state="attached")

    ui = f"{service.url}/mlflow/#/experiments/0"
    jobs: dict[str, list[Callable[[], float]]] = {
        f"list of {RUNS:,} runs, time to its rows, over MLflow's UI": [
            lambda: opened(browser, f"{service.url}/experiments", row),
            lambda: opened(browser, f"{ui}/runs", row),
        ],
        f"page of a run with {MLFLOW_POINTS:,} points, time to its chart, over MLflow's UI": [
            lambda: opened(browser, f"{service.url}/experiments/{experiment}?tab=metrics", chart(".chart canvas")),
            lambda: opened(browser, f"{ui}/runs/{run}/model-metrics", chart(".js-plotly-plot .scatterlayer path")),
        ],
    }
    for name, (ours, theirs) in jobs.items():
        ours(), theirs()
        pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
        bench.add(name, "s", *map(list, zip(*pairs, strict=True)), "<= 0.7", False)  # type: ignore[arg-type]


def _connected(bench: Bench, service: Service) -> None:
    """A hundred pages: most of them lists, a third of them on a run that logs ten points a second."""
    run = new_run(service, {"loss": 1000})
    live = service.add(1, "live", run_id=run, status="Running", finished_ms=None, archived=False)[0]
    paths = ["/", "/experiments", f"/experiments/{live}?tab=metrics"]
    process = psutil.Process(service.pid)
    resident = process.memory_info().rss
    quiet = _cpu(process, WATCHED_SECONDS)
    watched = asyncio.run(_watch(service, run, live, [paths[n % 3] for n in range(CONNECTED)], process))
    bench.add(f"CPU of the service with {CONNECTED} live pages", "% of a core", [watched["cpu"]], [], "<= 49 %", False)
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
    with closing(tracking(service)) as database:
        for step in range(1000, 100_000, 10):
            write(database, run, "loss", range(step, step + 10))
            if step % 20 == 0:
                with service.database.session(write=True) as session:
                    events.record(session, live, [events.Event("Step", f"At step {step}.", "Running", "Running")])
            await asyncio.sleep(1)


def _cpu(process: psutil.Process, seconds: float) -> float:
    process.cpu_percent()
    time.sleep(seconds)
    return process.cpu_percent()
