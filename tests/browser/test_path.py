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


def test_register_deploy_and_try_a_model(platform: RunningPlatform, page: Page, sklearn_experiment: str) -> None:
    page.goto(f"{platform.url}/experiments/{sklearn_experiment}")
    page.get_by_role("button", name="Register model").click()
    page.get_by_label("Model name").fill("browsed")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("heading", name="browsed v1")).to_be_visible()
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_role("heading", name="browsed v1")).to_be_visible()
    try:
        expect(page.locator(".badge", has_text="Running")).to_be_visible(timeout=120_000)
        page.get_by_label("Request, as JSON").fill("not json")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("This is not JSON")).to_be_visible()
        page.get_by_label("Request, as JSON").fill(
            '{"dataframe_split": {"columns": ["rooms", "floor"], "data": [[5, 1]]}}'
        )
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text(re.compile(r"^200 in \d+ ms"))).to_be_visible()
        expect(page.get_by_role("region", name="Answer")).to_contain_text(re.compile(r"510|509\.99"))
    finally:
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page).to_have_url(re.compile("/endpoints$"))


def test_logs_and_metrics_of_a_running_experiment(platform: RunningPlatform, page: Page, tmp_path: Path) -> None:
    """2,000 lines a second arrive, the page stays usable, and what leaves it is the newest 10,000."""
    (tmp_path / "logs.py").write_text(LOGS_MUCH)
    id = platform.submit("python logs.py", "Python", code={"syncMode": "local", "url": str(tmp_path)})
    page.goto(f"{platform.url}/experiments/{id}?tab=logs")
    expect(page.locator("log-view .line", has_text="tick 1 line 0").first).to_be_visible(timeout=90_000)
    coloured = page.locator("log-view .line span", has_text=re.compile("^tick 1$")).first
    assert coloured.evaluate("one => one.style.color") == "rgb(126, 231, 135)"
    page.get_by_role("tab", name="Metrics").click()
    expect(page.get_by_role("img", name="The course of loss")).to_be_visible()
    page.get_by_role("tab", name="Logs").click()
    assert platform.ended(id)["status"] == "Succeeded"
    expect(page.locator("log-view .said")).to_contain_text(re.compile(r"^8,0\d\d lines"))
    expect(page.locator(".badge", has_text="Succeeded")).to_be_visible()
    page.get_by_label("Search the log").fill("tick 39 line 199")
    expect(page.locator("log-view .line")).to_have_count(1)
