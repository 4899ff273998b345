"""The Media tab: galleries over steps, the replicas side by side, live; and a trial's part of it."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from submarine_ray.client.media_curves import confusion, roc
from submarine_ray.client.media_tables import histogram, table
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MediaHeader, MediaItem
from submarine_ray.spec.tags import EXPERIMENT_TAG, PARENT_TAG, REPLICA_TAG, SOURCE_TAG
from tests.browser.conftest import HOSTILE, Service

SERIOUS = ("serious", "critical")


def item(kind: str, key: str, step: int, content: bytes, suffix: str = "", caption: str = "") -> MediaItem:
    suffix = suffix or media.SUFFIXES[kind][0]
    return MediaItem(
        MediaHeader(kind, key, step, 1000 + step, media.new_name(), suffix, len(content), caption), content
    )


def post(service: Service, run: str, *items: MediaItem) -> None:
    body = b"".join(one.written() for one in items)
    httpx.post(f"{service.url}{media.path(run)}", content=body, timeout=30).raise_for_status()


def image(shade: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (40, 30), shade).save(written, "png")
    return written.getvalue()


def document(found: Any) -> bytes:
    return json.dumps(found).encode()


def experiment(service: Service, **values: object) -> tuple[str, str, str]:
    """An experiment with the runs of two replicas."""
    (id,) = service.add(1, "pictures", **values)
    tags = {EXPERIMENT_TAG: id, SOURCE_TAG: "submarine"}
    run = service.run({}, {"loss": [1.0]}, tags | {REPLICA_TAG: "worker-0"})
    other = service.run({}, {}, {EXPERIMENT_TAG: id, REPLICA_TAG: "worker-1", PARENT_TAG: run})
    with service.database.session(write=True) as session:
        session.get_one(ExperimentRow, id).run_id = run
    return id, run, other


def card(page: Page, key: str) -> Locator:
    return page.locator("section.card", has=page.get_by_role("heading", name=key, exact=True))


def is_drawn(shown: Locator) -> None:
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("complete", True)
    assert shown.evaluate("image => image.naturalWidth") == 40


def test_a_gallery_follows_its_experiment_until_a_step_is_chosen(service: Service, page: Page) -> None:
    id, run, other = experiment(service, status="Running", finished_ms=None)
    page.goto(f"{service.url}/experiments/{id}")
    expect(page.get_by_role("tab", name="Metrics")).to_be_visible()
    expect(page.get_by_role("tab", name="Media")).to_have_count(0)
    post(
        service, run, *(item("image", "val/digits", step, image(step), caption=f"{HOSTILE} {step}") for step in (0, 5))
    )
    post(service, other, item("image", "val/digits", 5, image(9)))
    page.get_by_role("tab", name="Media").click()  # it has come by itself
    gallery = card(page, "val/digits")
    expect(gallery).to_contain_text("Step 5 · 2 of 2")
    expect(gallery.locator("figcaption")).to_have_text([f"worker-0{HOSTILE} 5", "worker-1"])
    is_drawn(gallery.get_by_role("img", name=f"{HOSTILE} 5"))
    post(service, run, item("image", "val/digits", 6, image(6)), item("text", "words", 6, HOSTILE.encode()))
    expect(gallery).to_contain_text("Step 6 · 3 of 3")
    expect(card(page, "words")).to_contain_text(HOSTILE)
    gallery.get_by_role("button", name="Previous step").focus()
    page.keyboard.press("Enter")
    expect(gallery).to_contain_text("Step 5 · 2 of 3")
    page.keyboard.press("Enter")
    expect(gallery).to_contain_text("Step 0 · 1 of 3")
    post(service, run, item("image", "val/digits", 7, image(7)))
    expect(gallery).to_contain_text("Step 0 · 1 of 4")
    gallery.get_by_role("button", name="Next step").click()
    expect(gallery).to_contain_text("Step 5 · 2 of 4")
    assert page.evaluate("window.hacked") is None


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_kind_is_drawn_as_what_it_is(service: Service, browser: Browser, theme: Any) -> None:
    id, run, _ = experiment(service)
    random = np.random.default_rng(1)
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    plot = {"data": [{"y": [1, 2], "name": HOSTILE}], "layout": {"title": {"text": "A plot"}, "width": 4000}}
    page_of_it = f"<html>{media.PLOTLY_BEGIN}{json.dumps(plot)}{media.PLOTLY_END}".encode()
    truth, scores = random.integers(0, 2, 200), random.random(200)
    post(
        service,
        run,
        item("figure", "plot", 1, page_of_it, "html"),
        item("figure", "odd plot", 1, b"<script>alert(1)</script>", "html"),
        item("confusion_matrix", "matrix", 1, document(confusion(truth, truth, ["a", HOSTILE]))),
        item("roc_curve", "roc", 1, document(roc(truth, scores, None))),
        *(item("histogram", "weights", step, document(histogram(random.normal(step, 1, 99), 9))) for step in range(3)),
        item("audio", "voice", 1, sound.getvalue()),
        item(
            "table",
            "rows",
            1,
            document(table([{"n": n, "what": HOSTILE, "yes": True} for n in range(29, -1, -1)], None)),
        ),
        item("table", "odd table", 1, b'{"columns": 3}'),
        *(item("text", f"text {number}", 1, b"x" * 200_000) for number in range(20)),
    )
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=theme)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda failure: problems.append(str(failure)))
    page.on("console", lambda one: problems.append(one.text) if "Content Security Policy" in one.text else None)
    page.goto(f"{service.url}/experiments/{id}?tab=media")
    expect(card(page, "plot").locator(".js-plotly-plot .gtitle")).to_have_text("A plot")
    expect(card(page, "odd plot").get_by_role("link", name="Download the figure")).to_be_visible()
    for key, name in (
        ("matrix", "Confusion matrix matrix, step 1"),
        ("roc", "True positive rate over false positive rate of roc"),
        ("weights", "Distribution of weights over steps, worker-0"),
        ("weights", "Histogram of weights"),
    ):
        expect(card(page, key).get_by_role("img", name=name).locator("canvas").first).to_be_visible()
    player = card(page, "voice").locator("audio")
    player.evaluate("audio => audio.load()")
    page.wait_for_function("document.querySelector('audio').duration == 0.5")
    rows = card(page, "rows")
    expect(rows.locator("tbody tr")).to_have_count(10)
    expect(rows.locator("tbody tr").first).to_contain_text("29")
    rows.get_by_role("columnheader", name="n", exact=True).click()
    expect(rows.locator("tbody tr").nth(1)).to_contain_text("1<img")
    rows.get_by_role("button", name="n", exact=True).press("Enter")
    expect(rows.locator("tbody tr").nth(1)).to_contain_text("28<img")
    expect(card(page, "odd table")).to_contain_text("This table is empty.")
    page.get_by_role("button", name="Show more").click()
    expect(card(page, "text 19")).to_contain_text("Showing the first 100,000 bytes.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page).response["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS]
    page.get_by_label("Filter by key").fill("voi")
    expect(page.locator(".media > section.card")).to_have_count(1)
    page.get_by_label("Filter by key").fill("nothing")
    expect(page.get_by_text("No keys match this filter.")).to_be_visible()
    assert not problems and page.evaluate("window.hacked") is None
    context.close()


@pytest.mark.long
def test_a_trial_has_its_own(service: Service, page: Page) -> None:
    id = service.sweep([({"lr": 0.1}, [0.5]), ({"lr": 0.2}, [0.7])], "pictured")
    trials = httpx.get(f"{service.url}/api/v1/experiment/{id}/trials", timeout=20).json()["result"]
    runs = {one["number"]: one["runId"] for one in trials}
    page.goto(f"{service.url}/experiments/{id}/trials/t1")
    expect(page.get_by_role("heading", name="Log")).to_be_visible()
    expect(page.get_by_role("heading", name="Media", exact=True)).to_be_hidden()
    for number, run in runs.items():
        post(service, run, item("image", "samples", 1, image(number), caption=f"of trial {number}"))
    page.reload()
    expect(page.get_by_role("heading", name="Media", exact=True)).to_be_visible()
    expect(card(page, "samples").locator("figcaption")).to_have_text("of trial 1")
    page.goto(f"{service.url}/experiments/{id}?tab=media")
    expect(card(page, "samples").locator("figcaption")).to_have_text(["trial 2of trial 2", "trial 1of trial 1"])
