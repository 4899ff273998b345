"""Charts in headless Chromium: how soon many points stand in one, and how smoothly it zooms."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page

from benchmarks.browsing import READY, new_run, opened
from benchmarks.harness import Bench
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.tags import EXPERIMENT_TAG, PARENT_TAG, REPLICA_TAG
from tests.browser.conftest import Service

ROUNDS = 7
POINTS = 1_000_000
RUNS, RUN_POINTS = 50, 10_000
FRAMES = 90
# How many points each curve of the first chart has.
DRAWN = """() => [...document.querySelectorAll('figure')].map(
    one => getElement(Number(one.id.slice(1))).series.map(series => series.x.length)).flat()"""
# Zooms in by the wheel, a step a frame: how many frames a second are drawn, and the milliseconds that each one's work takes.
ZOOMED = """async (frames) => {
    const figure = document.querySelector("figure"), { chart } = getElement(Number(figure.id.slice(1)));
    const frame = () => new Promise(requestAnimationFrame), work = [];
    await frame();
    const begun = performance.now();
    for (let n = 0; n < frames; n++) {
        const at = performance.now();
        chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", start: n / 3, end: 100 - n / 3 });
        chart.getZr().flush();
        work.push(performance.now() - at);
        await frame();
    }
    const lasted = performance.now() - begun;
    chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", start: 0, end: 100 });
    return [1000 * frames / lasted, work.sort((a, b) => a - b)[Math.floor(frames / 2)]];
}"""


def curves(bench: Bench, browser: Browser, service: Service) -> None:
    """One curve of a million points, and fifty curves in one chart."""
    _one_long(bench, browser, service)
    _many(bench, browser, service)


def _clicked(browser: Browser, url: str, drawn: Callable[[Page], object]) -> list[float]:
    """Seconds from the click on Metrics until the chart stands."""
    taken: list[float] = []

    def click(page: Page) -> None:
        page.wait_for_function(READY)
        begun = time.perf_counter()
        page.get_by_role("tab", name="Metrics").click()
        drawn(page)
        taken.append(time.perf_counter() - begun)

    for _ in range(ROUNDS + 1):
        opened(browser, url, click)
    return taken[1:]


def _has_curves(count: int) -> Callable[[Page], object]:
    """That the first chart has drawn so many curves."""
    drawn = f"""() => {{ const figure = document.querySelector("figure");
        const chart = figure && getElement(Number(figure.id.slice(1)))?.chart;
        return (chart?.getModel()?.getSeriesByType("line") ?? []).length >= {count}; }}"""
    return lambda page: page.wait_for_function(drawn)


def _one_long(bench: Bench, browser: Browser, service: Service) -> None:
    experiment = service.add(1, "a-million", run_id=new_run(service, {"loss": POINTS}))[0]
    url = f"{service.url}/experiments/{experiment}"
    taken = _clicked(browser, url, _has_curves(1))
    bench.add(f"{POINTS:,} points, from the click on Metrics to the chart", "s", taken, [], "<= 0.6 s", False)
    drawn: list[int] = []

    def count(page: Page) -> None:
        page.wait_for_function(READY)
        _has_curves(1)(page)
        drawn[:] = page.evaluate(DRAWN)

    opened(browser, f"{url}?tab=metrics", count)
    bench.add("points of such a curve over the wire", "points", [float(max(drawn))], [], "<= 5000", False)


def _many(bench: Bench, browser: Browser, service: Service) -> None:
    (experiment,) = service.add(1, "fifty")
    run = new_run(service, {"loss": RUN_POINTS}, {EXPERIMENT_TAG: experiment, REPLICA_TAG: "worker-0"})
    for number in range(1, RUNS):
        tags = {EXPERIMENT_TAG: experiment, PARENT_TAG: run, REPLICA_TAG: f"worker-{number}"}
        new_run(service, {"loss": RUN_POINTS}, tags)
    with service.database.session(write=True) as session:
        session.get_one(ExperimentRow, experiment).run_id = run
    url = f"{service.url}/experiments/{experiment}"
    taken = _clicked(browser, url, _has_curves(RUNS))
    name = f"{RUNS} runs of {RUN_POINTS:,} points in one chart"
    bench.add(f"{name}, from the click on Metrics to the chart", "s", taken, [], "<= 1 s", False)
    rates: list[float] = []
    works: list[float] = []

    def zoom(page: Page) -> None:
        _has_curves(RUNS)(page)
        page.wait_for_function(READY)
        for _ in range(ROUNDS):
            rate, work = page.evaluate(ZOOMED, FRAMES)
            rates.append(rate)
            works.append(work)

    opened(browser, f"{url}?tab=metrics", zoom)
    bench.add(f"{name}, zooming", "frames/s", rates, [], "60", True)
    bench.add("the browser's work for such a frame", "ms", works, [], "<= 16", False)
