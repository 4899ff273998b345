"""A model's page in a browser: aliases, promotion, and versions side by side."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Service


def test_versions_are_named_promoted_and_compared(service: Service, page: Page) -> None:
    service.serve("page-of-versions")
    registry = f"{service.url}/mlflow/api/2.0/mlflow"
    for loss in (0.5, 0.25):
        run = service.run({"lr": loss / 10}, {"loss": [loss]})
        found = httpx.get(f"{registry}/runs/get", params={"run_id": run}, timeout=30).json()["run"]["info"]
        body = {"name": "page-of-versions", "source": f"{found['artifact_uri']}/model", "run_id": run}
        httpx.post(f"{registry}/model-versions/create", json=body, timeout=30).raise_for_status()
    (id,) = service.add(1, "maker", run_id=run)
    page.goto(f"{service.url}/experiments/{id}")
    page.get_by_role("link", name="page-of-versions v3").click()
    page.get_by_role("link", name="page-of-versions", exact=True).click()
    comparison = page.get_by_role("region", name="Comparison of versions")
    expect(comparison.get_by_role("columnheader")).to_have_text(["Version 3", "Version 2"])
    metrics = comparison.locator("tbody[aria-label=Metrics] td")
    expect(metrics).to_have_text(["0.25", "0.5"])
    expect(metrics.first).to_have_attribute("data-best", "")
    page.get_by_role("checkbox", name="Select version 1").click()
    expect(comparison.get_by_role("columnheader")).to_have_text(["Version 3", "Version 2", "Version 1"])
    expect(page).to_have_url(f"{service.url}/models/page-of-versions?versions=3,2,1")
    page.get_by_role("button", name="Add alias").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Alias").fill("latest")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("'latest' cannot be an alias: it reads as a version")).to_be_visible()
    dialog.get_by_label("Alias").fill("champion")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("button", name="Move champion", exact=True)).to_be_visible()
    page.goto(f"{service.url}/models/page-of-versions/2")
    page.get_by_role("button", name="Promote").click()
    expect(dialog).to_contain_text("It is not served. A stage deploys nothing")
    dialog.get_by_label("Aliases to move to this version").click()
    page.get_by_role("option", name="champion (now version 3)").click()
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name="Promote").click()
    expect(page.locator(".facts").first).to_contain_text("Production")
    expect(page.locator(".facts").first).to_contain_text("champion")
    found = httpx.get(f"{service.url}/api/v1/registered-model/page-of-versions", timeout=20).json()["result"]
    assert found["aliases"] == {"champion": 2}
