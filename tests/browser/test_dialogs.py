"""Forms and questions outlive the part of the page that asked them: it is drawn again whenever something changes."""

from __future__ import annotations

import re
import uuid

from playwright.sync_api import Page, expect

from submarine_ray.core import events
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.serving.tables import EndpointRow
from tests.browser.conftest import Service


def test_a_question_stays_while_its_experiment_ends(service: Service, page: Page) -> None:
    (id,) = service.add(1, f"asked-{uuid.uuid4().hex[:6]}", status="Running", finished_ms=None)
    page.goto(f"{service.url}/experiments/{id}")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("permanently?")
    with service.database.session(write=True) as session:
        row = session.get_one(ExperimentRow, id)
        row.status, row.finished_ms = "Succeeded", row.running_ms
        events.record(session, id, [events.Event("Succeeded", "It has ended.", "Running", "Succeeded")])
    expect(page.locator(".badge", has_text="Succeeded")).to_be_visible()  # the buttons are others now
    expect(dialog).to_contain_text("permanently?")
    dialog.get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/experiments$"))


def test_a_form_stays_as_filled_in_while_its_button_goes(service: Service, page: Page) -> None:
    model = f"asked-{uuid.uuid4().hex[:6]}"
    service.serve(model)
    with service.database.session(write=True) as session:
        session.delete(session.get_one(EndpointRow, f"{model}-1"))
    page.goto(f"{service.url}/models/{model}/1")
    page.get_by_role("button", name="Deploy").click()
    dialog = page.get_by_role("dialog")
    replicas = dialog.get_by_label("Replicas")
    for wrong in ("0", "1.5"):  # said, not put right in silence
        replicas.fill(wrong)
        dialog.get_by_role("button", name="Deploy").click()
        expect(dialog.get_by_role("alert")).to_contain_text("replicas")
        expect(replicas).to_have_value(wrong)
    replicas.fill("2")
    with service.database.session(write=True) as session:  # somebody else deploys it, and draws another "Endpoint"
        session.add(service.endpoint(model))
        events.record(session, f"endpoint:{model}-1", [events.Event("Created", "It was asked for.")])
    expect(page.get_by_role("heading", name="Not served")).to_have_count(0)
    expect(replicas).to_have_value("2")
    dialog.get_by_role("button", name="Deploy").click()
    expect(page.get_by_text("has no files").first).to_be_visible()  # a refusal leaves the form as it is
    expect(replicas).to_have_value("2")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
