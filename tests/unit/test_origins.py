"""Requests that another site has a browser send: from other ports of this machine too, and over WebSockets."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from submarine_ray.access.gate import Gate
from submarine_ray.core.settings import Settings, explained
from tests.conftest import TOKEN

LOCAL = "http://127.0.0.1:32080"
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


async def reached(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await PlainTextResponse("reached")(scope, receive, send)


def client(base_url: str = LOCAL, **settings: Any) -> TestClient:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(Gate(reached, Settings(**{"token": TOKEN} | settings)), base_url=base_url, headers=headers)


def opens_websocket(http: TestClient, headers: dict[str, str]) -> bool:
    try:
        path = "/notebook/default/mine/terminals/websocket/1"
        with http.websocket_connect(LOCAL.replace("http", "ws") + path, headers=dict(headers)):
            return True
    except (WebSocketDisconnect, httpx.HTTPStatusError, RuntimeError):
        return False


FOREIGN = [
    "http://127.0.0.1:3000", "http://localhost:32080", "http://127.0.0.1", "https://127.0.0.1:32080",
    "http://evil.example", "http://127.0.0.1:32080.evil.example", "http://127.0.0.1:32080@evil.example", "null", "",
    "file://", "http://", "127.0.0.1:32080", "http://[::1", "http://127.0.0.1:99999999", "http://127.0.0.1:x",
    "http://a b", "x" * 5000, "http://127.0.0.1:32080, http://evil.example"
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN, ids=lambda origin: origin[:40])
def test_another_origin_is_refused_whatever_it_asks(origin: str) -> None:
    http = client()
    headers = {b"Origin": origin.encode("latin-1")}
    for method in METHODS:
        for path in ("/api/v1/experiment", "/mlflow/api/2.0/mlflow/experiments/search", "/notebook/default/mine/lab"):
            answer = http.request(method, path, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 403, (method, path)
    assert opens_websocket(http, {}) and not opens_websocket(http, {"Origin": origin})


def test_our_own_pages_and_programs_pass() -> None:
    http = client()
    for headers in (
        {},
        {"Origin": LOCAL},
        {"Origin": LOCAL.upper()},
        {"Origin": LOCAL, "Sec-Fetch-Site": "same-origin"},
    ):
        assert {http.request(method, "/api/v1/experiment", headers=headers).status_code for method in METHODS} == {200}
        assert opens_websocket(http, headers)
    forwarded = client("http://localhost:9000")  # ssh -L 9000:127.0.0.1:32080
    assert forwarded.post("/", headers={"Origin": "http://localhost:9000"}).status_code == 200
    assert forwarded.post("/", headers={"Origin": "http://localhost:32080"}).status_code == 403
    six = client("http://[::1]:32080")
    assert six.post("/", headers={"Origin": "http://[::1]:32080"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "", "localhost.evil.example", "127.0.0.1:32080@evil", "[::1", "a:b:c", "127.0.0.1:x",
             "localhost:999999", " ", "http://localhost", "\xff", "127.0.0.1,evil", "x" * 3000, "localhost\\", "localhost/"],
)  # fmt: skip
def test_odd_and_foreign_hosts_are_refused(host: str) -> None:
    answer = client().get("/api/v1/experiment", headers={b"Host": host.encode("latin-1")})  # type: ignore[arg-type]
    assert answer.status_code == 403 and "SUBMARINE_ALLOWED_HOSTS" in answer.json()["message"]


def test_two_hosts_are_none() -> None:
    answer = client().get("/", headers=[("Host", "127.0.0.1:32080"), ("Host", "evil.example")])
    assert answer.status_code == 403


def test_a_site_cannot_have_a_browser_read_without_an_origin() -> None:
    """Images, scripts, frames and forms by GET: browsers send no Origin with them."""
    http = client()
    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("navigate", "object")):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
            for path in ("/", "/api/v1/experiment", "/mlflow/", "/notebook/default/mine/lab"):
                assert http.get(path, headers=headers).status_code == 403, (site, dest, path)
        link = {**PAGE, "Sec-Fetch-Site": site}
        assert http.get("/experiments/experiment-1", headers=link).text == "reached"
        assert http.post("/experiments/experiment-1", headers=link).status_code == 403
    assert http.get("/health", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("path", ["/notebook/default/mine/lab", "/tensorboard/", "/ray/local/"])
def test_what_opening_a_page_starts_no_other_site_starts(path: str) -> None:
    http = client()
    for site in ("cross-site", "same-site"):
        answer = http.get(f"{path}?a=%22%3E<b>", headers={**PAGE, "Sec-Fetch-Site": site})
        assert answer.status_code == 200 and "reached" not in answer.text
        assert f'<a href="{path}?a=%22%3E' in answer.text and "<b>" not in answer.text
    for site in ("same-origin", "none"):
        assert http.get(path, headers={**PAGE, "Sec-Fetch-Site": site}).text == "reached"
    # A browser that does not say, at a plain http address: the page before must be ours.
    old = {"User-Agent": "Mozilla/5.0", "Accept": "text/html"}
    for referer in ({}, {"Referer": "http://127.0.0.1:3000/x"}, {"Referer": "http://127.0.0.1:32080.evil.example/"}):
        assert "Continue" in http.get(path, headers={**old, **referer}).text
    assert http.get(path, headers={**old, "Referer": f"{LOCAL}/notebooks"}).text == "reached"
    assert http.get(path, headers={"Accept": "text/html"}).text == "reached"  # a program


PUBLIC = "https://ml.example.org"


@pytest.mark.parametrize(
    ("settings", "host", "taken", "refused"),
    [
        ({"public_url": PUBLIC}, "ml.example.org", [PUBLIC], ["http://ml.example.org", f"{PUBLIC}:8443"]),
        ({"public_url": f"{PUBLIC}/"}, "127.0.0.1:32080", [PUBLIC, LOCAL], ["http://ml.example.org"]),  # a proxy's Host
        ({"allowed_hosts": [PUBLIC]}, "ml.example.org", [PUBLIC], ["http://ml.example.org"]),
        ({"allowed_hosts": ["ml.example.org"]}, "ml.example.org", [PUBLIC, "http://ml.example.org"], [f"{PUBLIC}:8443"]),
        ({"allowed_hosts": ["ml.example.org:8080"]}, "ml.example.org:8080", ["http://ml.example.org:8080"], [PUBLIC]),
        ({"allowed_hosts": ["ml.example.org"]}, "ml.example.org:81", ["https://ml.example.org:81"], ["http://x.org:81"]),
    ],
)  # fmt: skip
def test_addresses_beyond_this_machine(
    settings: dict[str, Any], host: str, taken: list[str], refused: list[str]
) -> None:
    http = client(**settings)
    for origin in taken:
        assert http.post("/", headers={"Host": host, "Origin": origin}).status_code == 200, origin
    for origin in refused:
        assert http.post("/", headers={"Host": host, "Origin": origin}).status_code == 403, origin


def test_an_entry_with_a_port_or_scheme_opens_no_other_port() -> None:
    for entry, served, closed in (
        ("ml.example.org:8080", "ml.example.org:8080", "ml.example.org"),
        (PUBLIC, "ml.example.org", "ml.example.org:8080"),
        (PUBLIC, "ml.example.org:443", "ml.example.org:32080"),
    ):
        http = client(allowed_hosts=[entry])
        assert http.get("/", headers={"Host": served}).status_code == 200
        assert http.get("/", headers={"Host": closed}).status_code == 403


@pytest.mark.parametrize("entry", ["*", "", "*.example.org", "https://ml.example.org/path", "ftp://x", "a b", "x:y"])
def test_what_is_no_host_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(allowed_hosts=[entry])
    assert "SUBMARINE_ALLOWED_HOSTS" in explained(caught.value) and "NAME:PORT" in explained(caught.value)
    with pytest.raises(ValidationError, match="SUBMARINE_PUBLIC_URL"):
        Settings(public_url="ml.example.org")


def test_further_hosts_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ('["box", "https://ml.example.org"]', "box, https://ml.example.org", "box,https://ml.example.org,"):
        monkeypatch.setenv("SUBMARINE_ALLOWED_HOSTS", text)
        assert Settings().allowed_hosts == ["box", PUBLIC]
    for text, hosts in (("", []), ("[]", []), ("[::1]:80", ["[::1]:80"])):
        monkeypatch.setenv("SUBMARINE_ALLOWED_HOSTS", text)
        assert Settings().allowed_hosts == hosts
    monkeypatch.setenv("SUBMARINE_ALLOWED_HOSTS", '["box"')
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "'[\"box\"' is not NAME" in explained(caught.value)
