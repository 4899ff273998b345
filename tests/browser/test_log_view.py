"""The log of an experiment that has ended, in a real Chromium."""

from __future__ import annotations

import re
from itertools import cycle, islice

import httpx
import pytest
from playwright.sync_api import Page, expect

from submarine_ray.experiments.logs import ORDER
from tests.browser.conftest import Service

BEGUN = 1_795_831_867_120
# Where the middle of the view is, once all lines in view have come.
MIDDLE = """() => { const rows = [...document.querySelectorAll("log-view .line")];
    return rows.length > 20 && rows.every(one => !one.classList.contains("waits")) && Number(rows[rows.length >> 1].dataset.n); }"""


def logged(service: Service, lines: int, replicas: int = 3) -> str:
    """An experiment whose replicas have written by turns, 10 ms after each other; its id."""
    run = service.run({}, {})
    names = [f"worker-{number}" for number in range(replicas)]
    files: dict[str, list[str]] = {f"{name}.log": [] for name in names}
    order = []
    for number, name in enumerate(islice(cycle(names), lines)):
        text = f"step {number:07d} loss 0.123456 accuracy 0.98"
        if number % 1000 == 77:
            text = f"\x1b[33mWARNING\x1b[0m step {number}: the gradient is \x1b[1mclip\x1b[0mped"
        if number == lines // 2:
            text = "ERROR step failed: CUDA out of memory"
        files[f"{name}.log"].append(f"{text}\n")
        order.append(f"{name} {BEGUN + number * 10} 1\n")
    found = httpx.get(f"{service.url}/mlflow/api/2.0/mlflow/runs/get", params={"run_id": run}, timeout=30).json()
    path = found["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    directory = service.home.artifacts / path / "logs"
    directory.mkdir(parents=True)
    for file, content in {**files, ORDER: order}.items():
        (directory / file).write_text("".join(content))
    return service.add(1, f"log-{lines}", run_id=run)[0]


@pytest.mark.parametrize("lines", [6000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_a_log_is_read_from_its_end_to_its_begin_and_searched(service: Service, page: Page, lines: int) -> None:
    id = logged(service, lines)
    page.goto(f"{service.url}/experiments/{id}?tab=logs")
    box, found, hit = page.locator("log-view .lines"), page.locator("log-view .found"), page.locator("log-view .hit")
    expect(page.locator(f"log-view .line[data-n='{lines}']")).to_be_in_viewport()
    expect(page.locator("log-view .said")).to_have_text(f"{lines:,} lines")
    box.evaluate("one => { one.scrollTop = (one.scrollHeight - one.clientHeight) / 2 }")
    page.wait_for_function(f"() => Math.abs(({MIDDLE})() - {lines // 2}) < 60")
    last = page.locator("log-view .line").last
    number = int(str(last.get_attribute("data-n"))) - 1
    expect(last).to_have_text(re.compile(f"worker-{number % 3}.* {number:07d} "))
    search = page.get_by_label("Search the log")
    search.fill("IS CLIPPED")
    expect(found).to_have_text(re.compile(rf"^[\d,]+ of {lines // 1000:,}$"))
    expect(hit).to_be_in_viewport()
    before = found.inner_text()
    search.press("Enter")
    expect(found).not_to_have_text(before)
    expect(hit).to_have_text(re.compile(r"worker-\d.*is clipped$"))
    search.press("Shift+Enter")
    expect(found).to_have_text(before)
    page.get_by_role("button", name="First error").click()
    expect(found).to_have_text("1 of 1 error")
    expect(hit).to_have_text(re.compile("CUDA out of memory$"))
    expect(hit).to_be_in_viewport()
    page.get_by_role("button", name="Wrap").click()
    page.get_by_label("Replica").select_option("worker-1")
    expect(page.locator("log-view .said")).to_have_text(f"{(lines + 1) // 3:,} lines")
    box.press("Home")
    expect(page.locator("log-view .line[data-n='1'] .text")).to_have_text(re.compile("step 0000001 "))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download").click()
    assert saved.value.path().read_bytes().count(b"\n") == (lines + 1) // 3
