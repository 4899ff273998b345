"""Charts of many runs, and reports, in a real Chromium."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import HOSTILE, Service
from tests.conftest import wait_until

ORDER = "all => all.map(one => `${one.dataset.panel} ${one.dataset.width}x${one.dataset.height}`)"


def runs(service: Service, tag: str) -> list[str]:
    """Four runs of two learning rates, whose values the service has read."""
    ids = []
    for number in range(4):
        lr = 0.1 if number % 2 else 0.001
        run = service.run({"lr": lr}, {"loss": [3.0, 2.0 + lr, 1.0 + lr], "val/acc": [0.1, 0.5, 0.9]})
        (id,) = service.add(1, f"{tag}-{number}", run_id=run, owner="anna")
        service.tag(id, tag)
        ids.append(id)
    service.watch(ids)
    asked = {"filter": f"tag = {tag} and lr > 0 and loss > 0"}
    table = f"{service.url}/api/v1/experiment/table"
    wait_until(
        lambda: len(httpx.get(table, params=asked, timeout=30).json()["result"]) == len(ids), 30, "values to be read"
    )
    return ids


def order(page: Page) -> list[str]:
    return list(page.locator("panel-board > [data-panel]").evaluate_all(ORDER))


def test_many_runs_are_grouped_and_their_panels_moved_and_saved(service: Service, page: Page) -> None:
    """By the keyboard alone; what was saved is there again, and so is what the URL says."""
    tag = f"board-{uuid.uuid4().hex[:6]}"
    runs(service, tag)
    page.goto(f"{service.url}/charts?filter={quote(f'tag = {tag}')}&group=params.lr")
    expect(page.get_by_role("img", name="Chart of loss")).to_be_visible()
    expect(page.locator("run-list li")).to_have_text([re.compile("lr=0.0012 runs"), re.compile("lr=0.12 runs")])
    assert order(page) == ["m1 6x3", "m2 6x3", "parallel 12x3"]
    page.get_by_role("button", name="Move or resize val/acc").press("ArrowLeft")
    expect(page.locator("panel-board > :first-child")).to_have_attribute("data-panel", "m2")
    expect(page.get_by_role("button", name="Move or resize val/acc")).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_label("lr=0.1", exact=True).uncheck()
    expect(page.locator(".run-all")).to_have_text("1 of 2 shown")
    expect(page).to_have_url(re.compile("[?&]w="))
    page.reload()
    expect(page.locator(".run-all")).to_have_text("1 of 2 shown")
    assert order(page) == ["m2 7x3", "m1 6x3", "parallel 12x3"]
    page.get_by_role("button", name="Save").click()
    page.get_by_label("Name").fill(f"{HOSTILE} {tag}")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/charts.workspace=saved-[^&]*$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{HOSTILE} {tag}")
    expect(page.locator(".run-all")).to_have_text("1 of 2 shown")
    assert order(page) == ["m2 7x3", "m1 6x3", "parallel 12x3"]


@pytest.mark.long
def test_panels_of_every_kind_are_added_dragged_and_deleted(service: Service, page: Page, browser: Browser) -> None:
    tag = f"kinds-{uuid.uuid4().hex[:6]}"
    runs(service, tag)
    page.goto(f"{service.url}/charts?filter={quote(f'tag = {tag}')}")
    expect(page.get_by_role("img", name="Chart of loss")).to_be_visible()
    for kind, label, chosen in (
        ("Bar chart", "Value", "metrics.loss"), ("Scatter", "X axis", "params.lr"), ("Table", "Columns", "params.lr"),
        ("Images", "Path", ""), ("Text", "Text in Markdown", ""),
    ):  # fmt: skip
        page.get_by_role("button", name="Add panel").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Kind").click()
        page.get_by_role("option", name=kind).click()
        form.get_by_label(label).first.fill(chosen or "plots/x.png")
        if chosen:
            page.get_by_role("option", name=chosen, exact=True).click()
        if kind == "Scatter":
            form.get_by_role("button", name="Add", exact=True).click()
            expect(form.get_by_text("y: ")).to_be_visible()
            form.get_by_label("Y axis").first.fill("metrics.loss")
            page.get_by_role("option", name="metrics.loss", exact=True).click()
        form.get_by_role("button", name="Add", exact=True).click()
        expect(form).to_have_count(0)
    expect(page.get_by_role("img", name="Chart of loss by lr")).to_be_visible()
    expect(page.get_by_text("No run has an image at plots/x.png")).to_be_visible()
    expect(page.locator("panel-board > :first-child")).to_have_attribute("data-panel", "p5")
    assert order(page)[:2] == ["p5 6x2", "p4 6x3"]
    handle, over = page.locator(".panel-handle").first.bounding_box(), page.locator("[data-panel=p4]").bounding_box()
    assert handle and over
    page.mouse.move(handle["x"] + 4, handle["y"] + 4)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.8, over["y"] + 40, steps=8)
    page.mouse.up()
    expect(page.locator("panel-board > :first-child")).to_have_attribute("data-panel", "p4")
    page.get_by_role("button", name="Options of plots/x.png").click()
    page.locator(".q-menu .q-item", has_text="Delete").click()
    expect(page.locator("[data-panel=p4]")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("panel-board > :first-child")).to_have_attribute("data-panel", "p4")
    for theme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme)  # type: ignore[arg-type]
        phone = context.new_page()
        phone.goto(page.url)
        expect(phone.get_by_role("img", name="Chart of loss by lr")).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        found = Axe().run(phone).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        context.close()


@pytest.mark.long
def test_a_report_is_written_with_a_panel_and_read_by_others(service: Service, page: Page, browser: Browser) -> None:
    tag = f"report-{uuid.uuid4().hex[:6]}"
    runs(service, tag)
    page.goto(f"{service.url}/reports")
    page.get_by_role("button", name="New report").first.click()
    page.get_by_label("Name").fill(f"{HOSTILE} {tag}")
    page.get_by_role("dialog").get_by_text("Everyone who can use this service").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    text = page.get_by_label("Text in Markdown")
    text.fill(f"# Losses\n\n{HOSTILE} [x](javascript:alert(1))\n\n```panel\nkind: pie\n```\n")
    expect(page.get_by_text("This panel cannot be drawn: kind: must be one of line")).to_be_visible()
    page.get_by_role("button", name="Insert panel").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Metrics").fill("loss")
    page.get_by_role("option", name="loss", exact=True).click()
    form.get_by_label("Filter").fill(f"tag = {tag}")
    form.get_by_role("button", name="Insert").click()
    expect(text).to_have_value(re.compile(f"filter: tag = {tag}"))
    expect(page.get_by_role("img", name="Chart of loss")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Edit")).to_be_visible()
    expect(page.get_by_text("4 runs", exact=True)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    for theme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme)  # type: ignore[arg-type]
        phone = context.new_page()
        phone.goto(page.url)
        expect(phone.get_by_role("img", name="Chart of loss")).to_be_visible()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        found = Axe().run(phone).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        context.close()
    page.get_by_role("link", name="Open in Charts").click()
    expect(page.locator("run-list li")).to_have_count(4)
    page.get_by_role("button", name="More", exact=True).click()
    page.locator(".q-menu .q-item", has_text="Create report").click()
    page.get_by_label("Name").fill(tag)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_label("Text in Markdown")).to_have_value(
        re.compile(f"kind: line.*filter: tag = {tag}", re.DOTALL)
    )


@pytest.mark.long
def test_the_charts_of_an_experiment_stay_in_their_order(service: Service, page: Page) -> None:
    """Moved by the keyboard and hidden; on the next visit they are as they were left."""
    run = service.run({}, {"a": [1.0, 2.0], "b/b c.1": [1.0, 2.0], "c": [1.0, 2.0]})
    (id,) = service.add(1, "arranged", run_id=run)
    page.goto(f"{service.url}/experiments/{id}?tab=metrics")
    charts = page.locator("panel-board h2")
    expect(charts).to_have_text(["a", "b/b c.1", "c"])
    page.get_by_role("button", name="Move c").press("ArrowLeft")
    expect(charts).to_have_text(["a", "c", "b/b c.1"])
    expect(page.get_by_role("button", name="Move c")).to_be_focused()
    page.get_by_role("button", name="Hide a").click()
    expect(charts).to_have_text(["c", "b/b c.1"])
    page.get_by_role("button", name="Move b").press("ArrowUp")
    expect(charts).to_have_text(["b/b c.1", "c"])
    expect(page.get_by_role("button", name="Move b")).to_be_focused()
    page.goto(f"{service.url}/experiments/{id}?tab=metrics")
    expect(charts).to_have_text(["b/b c.1", "c"])
