"""The tab of a sweep's trials: charts that lead to trials, axes in the URL, and the buttons that change a sweep."""

from __future__ import annotations

import re

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from submarine_ray.experiments.tables import ExperimentRow
from tests.browser.conftest import Service

# Where the line of the trial `wanted` crosses the middle between its chart's first two axes.
MIDDLE = """(element, wanted) => {
    const chart = getElement(+element.id.slice(1)).chart, rows = chart.getOption().series[0].data;
    const place = chart._coordSysMgr.getCoordinateSystems()[0];
    const value = rows.find(one => one.name.startsWith(wanted)).value;
    const [a, b] = place.dimensions.map((dimension, at) => place.dataToPoint(value[at], dimension));
    return {x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2};
}"""
TYPES = "element => getElement(+element.id.slice(1)).chart.getOption().parallelAxis.map(one => one.type)"


def running(service: Service, trials: int = 5) -> tuple[str, list[str]]:
    """A sweep that runs, whose last trial does too, and the ids of its trials' runs; none of it is on a cluster."""
    tried = [({"lr": 10.0**-n, "width": 16 * n}, [n / 10, n / 5]) for n in range(1, trials + 1)]
    id = service.sweep(tried, "growing", numSamples=trials + 3)
    with service.database.session(write=True) as session:
        session.get_one(ExperimentRow, id).status = "Running"
    found = httpx.get(f"{service.url}/api/v1/experiment/{id}/trials", timeout=30).json()["result"]
    runs = [one["runId"] for one in sorted(found, key=lambda one: one["number"])]
    tag = {"run_id": runs[-1], "key": "submarine.trial_state", "value": "Running"}
    httpx.post(f"{service.url}/mlflow/api/2.0/mlflow/runs/set-tag", json=tag, timeout=30).raise_for_status()
    return id, runs


def test_a_sweep_is_read_stopped_in_part_and_extended(service: Service, page: Page) -> None:
    id, _ = running(service)
    page.goto(f"{service.url}/experiments/{id}?tab=trials")
    rows = page.get_by_role("region", name="Trials", exact=True).locator("tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.first).to_contain_text("best")
    expect(page.get_by_role("img", name="Parameter importance")).to_be_visible()
    chart = page.get_by_role("img", name="Chart of parallel coordinates")
    assert chart.evaluate(TYPES) == ["log", "value", "value"]
    page.get_by_label("Log axes").click()
    page.get_by_role("option", name="width").click()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"tab=trials&log=lr&log=width$"))
    page.reload()
    expect(chart).to_be_visible()
    assert chart.evaluate(TYPES) == ["log", "log", "value"]

    page.get_by_role("button", name="Stop trial 5").click()
    expect(rows.filter(has_text="Stopping")).to_have_count(1)
    expect(page.get_by_role("button", name="Stop trial 5")).to_have_count(0)
    page.get_by_role("button", name="Extend").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Samples to add").fill("0")
    dialog.get_by_role("button", name="Extend").click()
    expect(dialog.get_by_role("alert")).to_contain_text("greater than or equal to 1")
    dialog.get_by_label("Samples to add").fill("4")
    dialog.get_by_role("button", name="Extend").click()
    expect(page.get_by_text("Extended to 12 samples")).to_be_visible()

    with service.database.session(write=True) as session:
        session.get_one(ExperimentRow, id).status = "Succeeded"
    page.goto(f"{service.url}/experiments/{id}?tab=trials")
    page.get_by_role("button", name="Register best").click()
    expect(page.get_by_text("No trial has saved a model.")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("img", name="Chart of score of the best trials")).to_be_visible()
    open_best = page.get_by_role("link", name=re.compile("^Open #5 "))
    expect(open_best.first).to_have_attribute("href", f"/experiments/{id}/trials/t5")
    chart.scroll_into_view_if_needed()
    chart.click(position=chart.evaluate(MIDDLE, "#2 "))
    expect(page).to_have_url(re.compile(r"/trials/t2$"))
    expect(page.get_by_role("heading", name="Trial 2", exact=True)).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(service: Service, page: Page, width: int, theme: str) -> None:
    id, _ = running(service)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    for path, there in (("?tab=trials", "Parallel coordinates"), ("/trials/t5", "Trial 5")):
        page.goto(f"{service.url}/experiments/{id}{path}")
        expect(page.get_by_role("heading", name=there, exact=True)).to_be_visible()
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.long
def test_a_legend_takes_no_room_from_its_chart(service: Service, page: Page) -> None:
    id, _ = running(service)
    page.goto(f"{service.url}/experiments/{id}?tab=trials")
    chart = page.get_by_role("img", name="Chart of score of the best trials")
    expect(chart).to_be_visible()
    assert chart.evaluate("element => element.clientHeight") > 200
    link = page.get_by_role("link", name=re.compile("^Open #5 ")).first
    link.scroll_into_view_if_needed()
    expect(link).to_be_in_viewport(ratio=0.5)
    link.click()
    expect(page.get_by_role("heading", name="Trial 5", exact=True)).to_be_visible()
