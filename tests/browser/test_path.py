"""What a new user does, in a real browser on a real platform."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray

LOGS_MUCH = """
import sys, time
import submarine_ray as submarine
for tick in range(40):
    for line in range(200):
        print(f"\\x1b[32mtick {tick}\\x1b[0m line {line}")
    sys.stdout.flush()
    submarine.log_metric("loss", 1 / (tick + 1), tick)
    time.sleep(0.1)
"""


# How many points the first chart's curve has.
POINTS = """() => { const chart = document.querySelector("figure");
    return (chart && getElement(Number(chart.id.slice(1)))?.series?.[0]?.x.length) ?? 0; }"""


def test_what_a_newcomer_runs_first_succeeds(platform: RunningPlatform, page: Page) -> None:
    """The form and "Run a template" as they stand: no field is filled in, and both end well, and soon."""
    page.goto(f"{platform.url}/experiments/new")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    first = page.url.rsplit("/", 1)[1]
    page.goto(platform.url)
    page.get_by_role("button", name="Run a template").first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    for id in (first, page.url.rsplit("/", 1)[1]):
        assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    assert len(platform.client.metrics(first, "loss")) == 20


def test_from_a_template_to_a_prediction(platform: RunningPlatform, page: Page) -> None:
    """Home, a template, its run with metrics that move, the model registered, deployed and asked."""
    page.goto(platform.url)
    page.get_by_role("button", name="Run a template").first.click()
    page.get_by_label("Template", exact=True).click()
    page.get_by_role("option", name="pytorch-mnist").click()
    page.get_by_role("button", name="Set parameters").click()
    page.get_by_label("epochs").fill("100")  # long enough to be watched
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("tab", name="Metrics").click()
    page.wait_for_function(f"({POINTS})() >= 2", timeout=120_000)
    expect(page.locator(".badge", has_text="Running")).to_be_visible()
    before = page.evaluate(POINTS)
    page.wait_for_function(f"({POINTS})() > {before}", timeout=60_000)
    page.get_by_role("button", name="Register model").click(timeout=120_000)
    page.get_by_label("Model name").fill("browsed")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("heading", name="browsed v1")).to_be_visible()
    inputs = page.get_by_role("region", name="Inputs").locator("tbody tr").first
    expect(inputs).to_contain_text("float32")
    expect(inputs).to_contain_text("[-1, 64]")
    page.get_by_role("button", name="Deploy").click()
    page.get_by_role("dialog").get_by_role("button", name="Deploy").click()
    expect(page).to_have_url(re.compile("/endpoints/browsed/1$"), timeout=30_000)
    try:
        expect(page.locator("main .badge", has_text="Running").first).to_be_visible(timeout=120_000)
        request = page.get_by_label("Request (JSON)")
        example = request.input_value()
        request.fill("not json")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Invalid JSON")).to_be_visible()
        request.fill(example)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text(re.compile(r"^200 in \d+ ms"))).to_be_visible()
        expect(page.get_by_role("region", name="Response")).to_contain_text("predictions")
        page.get_by_role("button", name=re.compile("^Log of ")).click()
        expect(page.get_by_role("dialog")).to_contain_text("Loaded browsed version 1")
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(page.get_by_text("Total requests")).to_be_visible(timeout=40_000)
    finally:
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_a_notebook_is_opened_and_a_cell_run(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.url)
    page.get_by_role("button", name="New notebook").click()
    page.get_by_label("Name", exact=True).fill("browsed-notebook")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    card = page.locator(".card", has_text="browsed-notebook")
    try:
        with page.expect_popup() as opened:
            card.get_by_role("link", name="Open").click(timeout=120_000)
        lab = opened.value
        lab.locator(".jp-LauncherCard", has_text="Python 3").first.click(timeout=90_000)
        cell = lab.locator(".jp-CodeCell .cm-content").first
        expect(lab.get_by_text(re.compile(r"\| Idle"))).to_be_visible(timeout=60_000)  # what runs before that is lost
        cell.click()
        lab.keyboard.type("print(6 * 7)")
        expect(cell).to_have_text("print(6 * 7)")
        lab.keyboard.press("Shift+Enter")
        expect(lab.locator(".jp-OutputArea-output").first).to_have_text(re.compile("42"), timeout=60_000)
        lab.close()
    finally:
        card.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(card).to_have_count(0, timeout=60_000)


TRIES = "import sys, submarine_ray; submarine_ray.log_metric('score', float(sys.argv[1]) * 100, 0)"


def test_the_trials_of_a_sweep(platform: RunningPlatform, page: Page, tmp_path: Path) -> None:
    """Each trial is in the table as it ends; what they say together is drawn."""
    (tmp_path / "tries.py").write_text(TRIES)
    space = {"lr": {"type": "grid", "values": [0.1, 0.2, 0.4]}, "kind": {"type": "choice", "values": ["a", "b"]}}
    id = platform.submit(
        "python tries.py {{lr}} {{kind}}",
        "Python",
        code={"syncMode": "local", "url": str(tmp_path)},
        tune={"searchSpace": space, "metric": "score", "mode": "max", "numSamples": 1},
    )
    page.goto(f"{platform.url}/experiments/{id}?tab=trials")
    rows = page.get_by_role("region", name="Trials", exact=True).locator("tbody tr")
    expect(rows).to_have_count(3, timeout=120_000)
    assert platform.ended(id)["status"] == "Succeeded"
    expect(rows.first).to_contain_text("40")  # the best one
    for chart in ("The best value after each trial", "Chart of parallel coordinates"):
        expect(page.get_by_role("img", name=chart)).to_be_visible()


def test_logs_and_metrics_of_a_running_experiment(platform: RunningPlatform, page: Page, tmp_path: Path) -> None:
    """2,000 lines a second arrive, and the page stays usable."""
    (tmp_path / "logs.py").write_text(LOGS_MUCH)
    id = platform.submit("python logs.py", "Python", code={"syncMode": "local", "url": str(tmp_path)})
    page.goto(f"{platform.url}/experiments/{id}?tab=logs")
    coloured = page.locator("log-view .line span", has_text=re.compile(r"^tick \d+$")).first
    expect(coloured).to_have_css("color", "rgb(126, 231, 135)", timeout=90_000)
    page.locator("log-view .lines").press("Home")
    expect(page.locator("log-view .line", has_text="tick 0 line 0")).to_be_in_viewport()
    page.get_by_role("button", name="Follow").click()
    page.get_by_role("tab", name="Metrics").click()
    expect(page.get_by_role("img", name="Chart of loss")).to_be_visible()
    page.get_by_role("tab", name="Logs").click()
    assert platform.ended(id)["status"] == "Succeeded"
    expect(page.locator("log-view .said")).to_contain_text(re.compile(r"^8,0\d\d lines"))
    expect(page.locator(".badge", has_text="Succeeded")).to_be_visible()
    page.get_by_label("Search the log").fill("tick 39 line 199")
    expect(page.locator("log-view .found")).to_have_text("1 of 1")
    expect(page.locator("log-view .hit")).to_be_in_viewport()
