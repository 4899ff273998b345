"""`make screenshots`: pictures of a running platform's pages for the documentation."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.models import ServeClient
from tests.browser.conftest import CHROMIUM

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def _served(url: str) -> dict[str, str]:
    """The page of an endpoint, if there is one."""
    for one in ServeClient(url).list_serves():
        at = f"{one['modelName']}/{one['modelVersion']}"
        return {"endpoint": f"/endpoints/{at}"}
    return {}


def main(url: str) -> None:
    """Needs an experiment with metrics: the newest one that succeeded is shown."""
    found = ExperimentClient(url).list_experiments("Succeeded")
    if not found:
        sys.exit("Run an experiment first: `make quickstart`.")
    id = found[0]["experimentId"]
    pages = {
        "home": "/",
        "experiments": "/experiments",
        "new-experiment": "/experiments/new",
        "metrics": f"/experiments/{id}?tab=metrics",
        **_served(url),
    }
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        page = browser.new_page(viewport=DESKTOP)
        for name, path in pages.items():
            _take(page, name, url + path)
        browser.close()


def _take(page: Page, name: str, url: str) -> None:
    page.goto(url)
    page.locator("h1").wait_for()
    if name == "endpoint":  # its curves need a second look at its cluster
        page.get_by_role("img", name="Latency percentiles").wait_for(timeout=60_000)
    page.wait_for_timeout(1500)  # charts are drawn on a canvas: there is nothing to wait for
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(96)
    picture.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(os.environ.get("SUBMARINE_URL", "http://127.0.0.1:32080"))
