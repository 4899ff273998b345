"""The line chart: zoom, finer points, and settings in the URL."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from submarine_ray.core.clock import now_ms
from tests.browser.conftest import Service
from tests.conftest import wait_until

POINTS = 3_000
# What a chart shows: of x, its curves' steps and its series' ids.
SHOWN = """chart => { const { chart: drawn, series, window } = getElement(+chart.closest('figure').id.slice(1));
    const model = drawn.getModel();
    return { window: window.x, x: series[0]?.x ?? [], y: model.getComponent('yAxis').axis.scale.getExtent(),
        kinds: [model.getComponent('xAxis').axis.type, model.getComponent('yAxis').axis.type],
        ids: drawn.getOption().series.map(one => one.id) }; }"""


def log(service: Service, run: str, key: str, steps: range) -> None:
    for first in range(0, len(steps), 1000):
        points = [
            {"key": key, "value": 1 / (1 + step % 50), "step": step, "timestamp": now_ms()}
            for step in steps[first : first + 1000]
        ]
        logged = {"run_id": run, "metrics": points}
        httpx.post(f"{service.url}/mlflow/api/2.0/mlflow/runs/log-batch", json=logged, timeout=30).raise_for_status()


def charted(service: Service) -> tuple[str, str]:
    """An experiment that runs, and its MLflow run."""
    run = service.run({}, {"lr": [0.1, 0.0, 0.01]})
    log(service, run, "loss", range(POINTS))
    (id,) = service.add(1, "charted", run_id=run, status="Running", finished_ms=None)
    return id, run


def drag(page: Page, chart: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a rectangle, in parts of the chart's width and height."""
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * start[0], box["y"] + box["height"] * start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end[0], box["y"] + box["height"] * end[1], steps=6)
    page.mouse.up()


def finer(chart: Locator) -> bool:
    """Whether each step of the part that is zoomed to has a point."""
    shown: dict[str, Any] = chart.evaluate(SHOWN)
    if not shown["window"]:
        return False
    low, high = shown["window"]
    within = [x for x in shown["x"] if low <= x <= high]
    return len(within) > 100 and within == list(range(within[0], within[-1] + 1))


def test_a_zoom_has_finer_points_stays_when_points_come_and_is_in_the_url(service: Service, page: Page) -> None:
    id, run = charted(service)
    page.goto(f"{service.url}/experiments/{id}?tab=metrics")
    chart = page.get_by_role("img", name="Chart of loss")
    wait_until(lambda: len(chart.evaluate(SHOWN)["x"]) > 500, 30, "the curve")
    assert not finer(chart)
    drag(page, chart, (0.4, 0.5), (0.6, 0.51))  # along x: y is not zoomed
    expect(page).to_have_url(re.compile(r"zoom=loss%7E[\d.]+%7E[\d.]+%7E%7E$"))
    wait_until(lambda: finer(chart), 30, "finer points")
    window = chart.evaluate(SHOWN)["window"]
    log(service, run, "loss", range(POINTS, POINTS + 100))
    wait_until(lambda: chart.evaluate(SHOWN)["x"][-1] == POINTS + 99, 30, "the new points")
    assert chart.evaluate(SHOWN)["window"] == window and finer(chart)
    page.reload()
    wait_until(lambda: finer(chart), 30, "the same after a reload")
    assert chart.evaluate(SHOWN)["window"] == pytest.approx(window)
    chart.dblclick()
    expect(page).not_to_have_url(re.compile("zoom="))
    assert chart.evaluate(SHOWN)["window"] is None


@pytest.mark.long
def test_the_settings_of_charts(service: Service, page: Page) -> None:
    id, _ = charted(service)
    page.goto(f"{service.url}/experiments/{id}?tab=metrics&smoothing=0.9&logx=1")
    loss = page.get_by_role("img", name="Chart of loss")
    wait_until(
        lambda: loss.evaluate(SHOWN)["ids"][:2] == ["line 0", "raw 0"], 30, "the raw curve behind the smooth one"
    )
    assert loss.evaluate(SHOWN)["kinds"] == ["log", "value"]
    page.get_by_role("switch", name="Log y").click()
    expect(page).to_have_url(re.compile("logy=1"))
    expect(page.get_by_text("2 points are not shown: a logarithmic axis has no zero")).to_be_visible()
    page.get_by_label("X axis").click()
    page.get_by_role("option", name="lr", exact=True).click()
    expect(page).to_have_url(re.compile("x=metrics.lr"))
