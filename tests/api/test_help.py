"""The documentation at /help: who may read it, what its pages may load, and what is said where it was not built."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from submarine_ray.access.gate import Gate
from submarine_ray.core.http import add_error_handlers
from submarine_ray.core.settings import Settings
from submarine_ray.workbench import documentation
from tests.conftest import TOKEN

SCRIPT = "document.title = 'read'"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "serving").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(f"<html><script>{SCRIPT}</script><h1>Start</h1></html>")
    (tmp_path / "serving" / "index.html").write_text("<h1>Serving</h1>")
    (tmp_path / "assets" / "help.css").write_text("p {}")
    return tmp_path


def reader(directory: Path, token: str | None = None) -> TestClient:
    app = FastAPI()
    add_error_handlers(app)
    documentation.attach(app, directory)
    app.add_middleware(Gate, settings=Settings(token=token))
    return TestClient(app, base_url="http://127.0.0.1:32080")


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split(";")
    return {name: value for name, _, value in (part.strip().partition(" ") for part in parts)}


def test_pages_are_served_below_help(site: Path) -> None:
    client = reader(site)
    assert client.get("/help", follow_redirects=False).headers["location"] == "/help/"
    assert "Start" in client.get("/help/").text
    assert "Serving" in client.get("/help/serving/").text
    assert client.get("/help/assets/help.css").headers["content-type"].startswith("text/css")


def test_a_page_runs_its_own_scripts_and_loads_nothing_from_elsewhere(site: Path) -> None:
    client = reader(site)
    allowed = policy(client.get("/help/"))
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"].split() == ["'self'", f"'sha256-{digest}'"]
    assert "sha256" not in policy(client.get("/help/serving/"))["script-src"]
    assert not re.search(r"https?:|\*|unsafe-eval", client.get("/help/").headers["content-security-policy"])


def test_a_page_that_is_built_again_runs_its_new_scripts(site: Path) -> None:
    client = reader(site)
    before = policy(client.get("/help/"))["script-src"]
    (site / "index.html").write_text("<script>another()</script>")
    assert policy(client.get("/help/"))["script-src"] != before


@pytest.mark.parametrize("path", ["/help/nowhere/", "/help/..%2fsecret", "/help/%00", "/help/serving/index.html/x"])
def test_what_is_not_there_leads_back_to_the_start(site: Path, path: str) -> None:
    (site.parent / "secret").write_text("a secret")
    answer = reader(site).get(path)
    assert answer.status_code == 404
    assert 'href="/help/"' in answer.text


def test_a_service_without_the_documentation_says_how_to_build_it(tmp_path: Path) -> None:
    directory = tmp_path / "help"
    client = reader(directory)
    answer = client.get("/help/")
    assert answer.status_code == 404
    assert "make docs" in answer.text
    directory.mkdir()
    (directory / "index.html").write_text("built")
    assert client.get("/help/").text == "built"


def test_readers_sign_in_first(site: Path) -> None:
    client = reader(site, TOKEN)
    assert client.get("/help/").status_code == 401
    assert client.get("/help/assets/help.css").status_code == 401
    assert client.get("/help/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/help/", headers={"Host": "elsewhere.example"}).status_code != 200


def test_the_service_serves_it(api: httpx.Client) -> None:
    assert api.get("/help/", headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")
