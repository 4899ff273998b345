"""Signing in and out with a real browser, and what pages of another origin on this machine can do."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Service
from tests.conftest import TOKEN


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for a token."""
    service = Service(Path(tmp_path_factory.mktemp("closed")), token=TOKEN)
    yield service
    service.stop()


def test_somebody_signs_in_and_out_and_by_a_link(closed: Service, page: Page) -> None:
    page.goto(f"{closed.url}/experiments")
    expect(page).to_have_url(f"{closed.url}/login?next=/experiments")
    page.get_by_label("Service token").fill("not-the-token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The token is wrong.")
    page.get_by_label("Service token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Experiments", exact=True)).to_be_visible()
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "submarine_session"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"

    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{closed.url}/login")
    stolen = {"Cookie": f"submarine_session={cookie['value']}"}
    assert httpx.get(f"{closed.url}/api/v1/experiment", headers=stolen, trust_env=False).status_code == 401
    page.goto(f"{closed.url}/experiments")
    expect(page).to_have_url(f"{closed.url}/login?next=/experiments")

    page.goto(f"{closed.url}/ray/local/")  # from the form on to another origin, which shows content
    page.get_by_label("Service token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(rf"http://127\.0\.0\.1:(?!{closed.url.rsplit(':', 1)[1]}/)[0-9]+/ray/local/"))
    page.context.clear_cookies()

    made = httpx.post(
        f"{closed.url}/api/v1/session/link", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
    )
    path = made.json()["result"]["path"]
    page.goto(f"{closed.url}{path}")
    expect(page).to_have_url(f"{closed.url}/")
    page.goto(f"{closed.url}{path}")
    expect(page.get_by_role("alert")).to_contain_text("has expired or was used already")


PAGE = """<!doctype html><title>elsewhere</title><script>
const results = {};
async function attack(base) {
  const attempt = async (name, ask) => { try { results[name] = await ask(); } catch (failure) { results[name] = 'failed'; } };
  await attempt('read', async () => (await fetch(base + '/api/v1/experiment')).status);
  await attempt('mlflow', async () => (await fetch(base + '/mlflow/api/2.0/mlflow/experiments/search', {method: 'POST',
    headers: {'Content-Type': 'application/json'}, body: '{"max_results": 5}'})).status);
  await attempt('forged', async () => (await fetch(base + '/api/v1/environment', {method: 'POST', mode: 'no-cors',
    headers: {'Content-Type': 'text/plain'}, body: '{"name": "forged", "dockerImage": "x"}'})).type);
  await attempt('socket', () => new Promise(resolve => { const socket = new WebSocket(base.replace('http', 'ws') +
    '/_nicegui_ws/socket.io/?EIO=4&transport=websocket'); socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused'); }));
  await attempt('image', () => new Promise(resolve => { const image = new Image(); image.onload = () => resolve('loaded');
    image.onerror = () => resolve('refused'); image.src = base + '/favicon.ico'; }));
  return results;
}
</script>"""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page on another port of this machine: the same site to cookies, another origin to us."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_page_on_another_port_of_this_machine_reads_and_does_nothing(
    service: Service, browser: Browser, elsewhere: str
) -> None:
    page = browser.new_context().new_page()
    page.goto(elsewhere)
    found = page.evaluate(f"attack('{service.url}')")
    assert found == {"read": "failed", "mlflow": "failed", "forged": "opaque", "socket": "refused", "image": "refused"}
    page.goto(service.url)  # the attempts from the service's own page: they are what works there
    own = page.evaluate(
        "async () => (await fetch('/mlflow/api/2.0/mlflow/experiments/search', {method: 'POST', headers: "
        "{'Content-Type': 'application/json'}, body: '{\"max_results\": 5}'})).status"
    )
    assert own == 200
    assert httpx.get(f"{service.url}/api/v1/environment/forged", trust_env=False).status_code == 404
    page.context.close()
