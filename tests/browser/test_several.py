"""Pages of several control services behind one port: a page whose process has died is made again by another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from submarine_ray.cli import front
from submarine_ray.spec.home import Home
from tests.conftest import MariaDb, wait_until
from tests.several import Several, together

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def services(mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    with together(mariadb, Home(tmp_path_factory.mktemp("several") / "home"), 2) as found:
        yield found


def test_a_page_whose_process_dies_is_made_again_by_another(services: Several, page: Page) -> None:
    with services.client() as client:
        link = client.post("/api/v1/session/link").json()["result"]["path"]
    page.goto(f"{services.url}{link}")
    expect(page).to_have_url(f"{services.url}/")
    page.goto(f"{services.url}/templates")

    def place() -> int:
        return int(next(one["value"] for one in page.context.cookies() if one["name"] == front.COOKIE))

    def is_live() -> bool:
        return bool(page.evaluate("window.did_handshake === true && window.socket.connected"))

    def client_id() -> str:
        return str(page.evaluate("window.clientId"))

    wait_until(is_live, 30, "the page is connected")
    before, number = client_id(), place()
    os.kill(services.pid(number), signal.SIGKILL)
    page.wait_for_function("before => window.clientId !== before && window.did_handshake", arg=before, timeout=20_000)
    expect(page).to_have_url(f"{services.url}/templates")
    assert place() != number
    services.start()
    page.goto(f"{services.url}/experiments")  # and it stays there when the first is back
    wait_until(is_live, 30, "the page is connected")
    assert place() != number
