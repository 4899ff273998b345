"""The log of an experiment with a million lines, in headless Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page

from benchmarks.harness import Bench
from tests.browser.conftest import Service
from tests.browser.test_log_view import logged

LINES, ROUNDS = 1_000_000, 5
# Whether the lines around the middle are in view.
AT_MIDDLE = """half => { const rows = [...document.querySelectorAll("log-view .line")];
    return rows.length > 20 && rows.every(one => !one.classList.contains("waits")) &&
        Math.abs(Number(rows[rows.length >> 1].dataset.n) - half) < 100; }"""
TO_MIDDLE = """() => { const one = document.querySelector("log-view .lines");
    one.scrollTop = (one.scrollHeight - one.clientHeight) / 2; }"""
FOUND = "_ => / of 1,000$/.test(document.querySelector('log-view .found').textContent)"
# Milliseconds of each frame while the log is scrolled as by a wheel.
FRAMES = """async () => { const box = document.querySelector("log-view .lines"), taken = []; let last = performance.now();
    for (let i = 0; i < 300; i++) { await new Promise(requestAnimationFrame); const now = performance.now();
        taken.push(now - last); last = now; box.scrollTop += 90; }
    return taken.sort((a, b) => a - b); }"""


def logs(bench: Bench, browser: Browser, service: Service) -> None:
    """Open the log at its end, go to its middle, search, and scroll."""
    url = f"{service.url}/experiments/{logged(service, LINES, 4)}?tab=logs"
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    found: dict[str, list[float]] = {"open": [], "middle": [], "search": [], "frames": []}
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        page.goto(url)
        page.locator(f"log-view .line[data-n='{LINES}']").wait_for()
        found["open"].append(time.perf_counter() - begun)
        found["middle"].append(_timed(page, lambda: page.evaluate(TO_MIDDLE), AT_MIDDLE))
        found["search"].append(_timed(page, lambda: page.get_by_label("Search the log").fill("is clipped"), FOUND))
        frames = page.evaluate(FRAMES)
        found["frames"].append(frames[len(frames) * 95 // 100])
    page.close()
    first = f"log of {LINES:,} lines by four replicas in turns, the first look"
    bench.add(first, "s", found["open"][:1], [], "<= 4 s", False)
    bench.add("the same log, until its end is in view", "s", found["open"][1:], [], "<= 1 s", False)
    bench.add("from its end to its middle", "s", found["middle"][1:], [], "<= 0.5 s", False)
    bench.add("a search in all of it, with the pause after typing", "s", found["search"][1:], [], "<= 1.5 s", False)
    bench.add("95 of 100 frames while it is scrolled", "ms", found["frames"][1:], [], "<= 34 ms", False)


def _timed(page: Page, act: Callable[[], object], until: str) -> float:
    begun = time.perf_counter()
    act()
    page.wait_for_function(until, arg=LINES // 2)
    return time.perf_counter() - begun
