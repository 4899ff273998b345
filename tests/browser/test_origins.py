"""Hostile pages in a real Chromium: what a script on the content's origin, or on another port, gets of the service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from submarine_ray.core.secrets import SecretBox
from tests.browser.conftest import Service
from tests.jupyterlab import add_running, jupyterlab

# What a script tries: with the cookies that a browser sends to every port of a host, and by every way out.
ATTACK = """async ({main, content, notebook}) => {
    const tried = {};
    const attempt = async (name, what) => { try { tried[name] = await what(); } catch (failure) { tried[name] = "refused"; } };
    const within = (promise) => Promise.race([promise, new Promise((_, no) => setTimeout(() => no(Error("late")), 5000))]);
    const read = (url, more) => within(fetch(url, {credentials: "include", ...more}).then((got) => got.text()));
    const socket = (url) => within(new Promise((yes, no) => {
        const opened = new WebSocket(url);
        opened.onopen = () => yes("open");
        opened.onerror = () => no(Error("refused"));
    }));
    const framed = (url) => within(new Promise((yes) => {
        const frame = document.body.appendChild(document.createElement("iframe"));
        frame.onload = () => { try { yes(frame.contentDocument.body.innerText || "empty"); } catch { yes("other origin"); } };
        frame.src = url;
    }));
    const experiment = {meta: {name: "forged", framework: "Shell", cmd: "id"}, spec: {Worker: {replicas: 1, resources: "cpu=1"}}};
    const body = JSON.stringify(experiment);
    await attempt("api", () => read(`${main}/api/v1/experiment`));
    await attempt("mlflow", () => read(`${main}/mlflow/api/2.0/mlflow/experiments/search?max_results=1`));
    await attempt("login", () => read(`${main}/login`));
    await attempt("page", () => read(`${main}/`));
    await attempt("submit", () => read(`${main}/api/v1/experiment`,
        {method: "POST", body, headers: {"Content-Type": "application/json"}}));
    await attempt("blind", () => read(`${main}/api/v1/experiment`, {method: "POST", body, mode: "no-cors"}));
    await attempt("blind yaml", () => read(`${main}/api/v1/experiment`,
        {method: "POST", body, mode: "no-cors", headers: {"Content-Type": "text/plain"}}));
    await attempt("stop", () => read(`${main}/api/v1/notebook/${notebook}/stop`, {method: "POST", mode: "no-cors"}));
    await attempt("notebook", () => read(`${main}/notebook/default/mine/api/contents`));
    await attempt("workbench socket", () => socket(`${main.replace("http", "ws")}/_nicegui_ws/socket.io/?EIO=4&transport=websocket`));
    await attempt("notebook socket", () => socket(`${main.replace("http", "ws")}/notebook/default/mine/api/events/subscribe`));
    await attempt("content's own api", () => read(`${content}/api/v1/experiment`));
    await attempt("framed", () => framed(`${main}/`));
    await attempt("opener", () => window.opener === null ? "none" : window.opener.document.body.innerText);
    await attempt("cookies", () => document.cookie);
    return tried;
}"""
FROM_A_PORT = """async ({content}) => {
    const tried = {};
    const attempt = async (name, what) => { try { tried[name] = await what(); } catch (failure) { tried[name] = "refused"; } };
    const terminals = `${content}/notebook/default/mine/api/terminals`;
    await attempt("read", () => fetch(terminals, {credentials: "include"}).then((got) => got.text()));
    await attempt("make", () => fetch(terminals, {credentials: "include", method: "POST", mode: "no-cors"}).then((got) => got.type));
    await attempt("socket", () => new Promise((yes, no) => {
        const opened = new WebSocket(`${content.replace("http", "ws")}/notebook/default/mine/api/events/subscribe`);
        opened.onopen = () => yes("open");
        opened.onerror = () => no(Error("refused"));
    }));
    return tried;
}"""


class Elsewhere(BaseHTTPRequestHandler):
    """Another program's page on another port of this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body>elsewhere")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def notebook(service: Service, tmp_path: Path) -> Iterator[str]:
    """A notebook with a real JupyterLab; its id."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "hostile.html").write_text("<!doctype html><script>document.title = 'ran ' + window.origin</script>")
    with jupyterlab(folder, "mine") as address:
        add_running(service.database, SecretBox(service.home.secret_key), "mine", address)
        (only,) = [one for one in _listed(service) if one["name"] == "mine"]
        yield str(only["notebookId"])
        httpx.delete(f"{service.url}/api/v1/notebook/{only['notebookId']}")


def _listed(service: Service) -> list[dict[str, Any]]:
    return list(httpx.get(f"{service.url}/api/v1/notebook").json()["result"])


def test_a_hostile_page_gets_nothing_and_a_notebook_works(
    service: Service, notebook: str, elsewhere: str, browser: Browser, page: Page
) -> None:
    page.goto(f"{service.url}/notebooks")
    with page.expect_popup() as opened:
        page.locator(".card", has_text="mine").get_by_role("link", name="Open").click()
    lab = opened.value
    lab.locator(".jp-LauncherCard", has_text="Python 3").first.click(timeout=90_000)
    cell = lab.locator(".jp-CodeCell .cm-content").first
    expect(lab.get_by_text("| Idle")).to_be_visible(timeout=60_000)
    cell.click()
    lab.keyboard.type("print(6 * 7)")
    lab.keyboard.press("Shift+Enter")
    expect(lab.locator(".jp-OutputArea-output").first).to_contain_text("42", timeout=60_000)
    content = lab.evaluate("window.origin")
    assert content != service.url and "ticket" not in lab.url

    tried = lab.evaluate(ATTACK, {"main": service.url, "content": content, "notebook": notebook})
    own_api = tried.pop("content's own api")
    assert "There is nothing here" in own_api
    assert "submarine" not in tried.pop("cookies")
    assert tried.pop("framed") in ("other origin", "refused") and tried.pop("opener") == "none"
    # What is sent without CORS has no answer that the page could read; whether it did anything is looked at below.
    blind = {name: tried.pop(name) for name in ("blind", "blind yaml", "stop")}
    assert set(blind.values()) <= {"", "refused"}
    assert set(tried.values()) == {"refused"}, tried
    listed = httpx.get(f"{service.url}/api/v1/experiment", params={"limit": 5}).json()["result"]
    assert "forged" not in str(listed)
    assert {one["notebookId"]: one["status"] for one in _listed(service)}[notebook] == "running"

    # A user's file is a page without an origin, in Jupyter too.
    lab.goto(f"{content}/notebook/default/mine/files/hostile.html")
    expect(lab).to_have_title("ran null")

    other = page.context.new_page()
    other.goto(elsewhere)
    assert other.evaluate(FROM_A_PORT, {"content": content}) == {
        "read": "refused",
        "make": "refused",
        "socket": "refused",
    }
    terminals = httpx.get(f"{service.url}/notebook/default/mine/api/terminals").json()
    assert terminals == []
    lab.close()


def test_localhost_is_a_name_too(service: Service, notebook: str, page: Page) -> None:
    page.goto(f"{service.url.replace('127.0.0.1', 'localhost')}/notebook/default/mine/lab")
    expect(page.locator("#jp-top-panel")).to_be_visible(timeout=90_000)
    assert page.url.startswith("http://localhost:") and not page.url.startswith(
        service.url.replace("127.0.0.1", "localhost")
    )
