"""Content is on an origin of its own: a real target behind both doors, and what each lets through."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from tests.service import without_mlflow

TOKEN = "a-token-for-content-tests"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
CLICK = {**KNOWN, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
OPENED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "document"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
CONTENT = "http://127.0.0.1:32081"


class Dashboard(BaseHTTPRequestHandler):
    """A hostile one, which notes what it gets."""

    seen: list[tuple[str, dict[str, str]]] = []

    def do_GET(self) -> None:
        Dashboard.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(200)
        self.send_header("Set-Cookie", "of-target=1; Path=/")
        self.send_header("Set-Cookie", "submarine_session=fixed; Path=/")
        self.send_header("Referrer-Policy", "unsafe-url")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"board")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    target = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=target.serve_forever, args=(0.02,), daemon=True).start()
    settings = Settings(
        home=tmp_path_factory.mktemp("content"),
        token=TOKEN,
        allow_cluster_networks="127.0.0.1/32",  # type: ignore[arg-type]
    )
    client = without_mlflow(build(settings), "http://127.0.0.1:32080")
    for name in ("one", "two"):
        body = {"name": name, "address": f"http://127.0.0.1:{target.server_port}", "token": "of-cluster"}
        assert client.post("/api/v1/cluster", json=body, headers=KNOWN).status_code == 200
    yield client
    target.shutdown()


@pytest.fixture
def content(service: TestClient) -> TestClient:
    return TestClient(service.app, base_url=CONTENT, follow_redirects=False)


def arrive(service: TestClient, path: str = "/ray/one/", **headers: str) -> str:
    """The address that a browser is sent on to, with its ticket."""
    sent = service.get(path, headers={**CLICK, **headers})
    assert sent.status_code == 303 and sent.headers["referrer-policy"] == "no-referrer"
    assert sent.headers["cache-control"] == "no-store"
    return str(sent.headers["location"])


def test_a_page_is_opened_on_the_contents_origin(service: TestClient, content: TestClient) -> None:
    there = arrive(service, "/ray/one/?a=b")
    assert there.startswith(f"{CONTENT}/ray/one/?a=b&submarine-ticket=") and TOKEN not in there
    swapped = content.get(there, headers=OPENED)
    assert swapped.status_code == 303 and swapped.headers["location"] == f"{CONTENT}/ray/one/?a=b"
    assert swapped.headers["referrer-policy"] == "no-referrer"
    cookie = swapped.headers["set-cookie"]
    assert "HttpOnly" in cookie and "Path=/ray/one;" in cookie and "SameSite=lax" in cookie and "Domain" not in cookie
    shown = content.get(swapped.headers["location"], headers=OPENED)
    assert shown.status_code == 200 and shown.text == "board"
    path, seen = Dashboard.seen[-1]
    assert path == "/?a=b" and "cookie" not in seen and seen["authorization"] == "Bearer of-cluster"
    assert shown.headers.get_list("set-cookie") == ["of-target=1; Path=/ray/one; SameSite=Lax"]
    assert shown.headers.get_list("referrer-policy") == ["same-origin"]
    assert shown.headers["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
    assert not [name for name in shown.headers if name.startswith("access-control")]


def test_a_person_is_refused_with_a_page_and_a_program_with_the_envelope(
    service: TestClient, content: TestClient
) -> None:
    for client, path, home, opening, asking in (
        (service, "/ray/nope/", "/", CLICK, KNOWN),
        (service, "/notebook/default/nope/lab", "/", CLICK, KNOWN),
        (content, "/nope", "http://127.0.0.1:32080/", OPENED, FETCH),
    ):
        page, envelope = client.get(path, headers=opening), client.get(path, headers=asking)
        assert (page.status_code, envelope.status_code) == (404, 404), path
        assert envelope.json()["success"] is False
        assert "<h1>Page not found</h1>" in page.text and f'href="{home}"' in page.text
        assert html.escape(envelope.json()["message"]) in page.text
        assert "script" not in page.text and "default-src 'none'" in page.headers["content-security-policy"]


def test_a_ticket_is_for_one_object_and_one_use(service: TestClient, content: TestClient) -> None:
    there = arrive(service)
    for wrong in (there.replace("/ray/one/", "/ray/two/"), there.replace("127.0.0.1", "localhost"), there[:-1]):
        assert "set-cookie" not in content.get(wrong, headers=OPENED).headers
    (ticket,) = parse_qs(urlsplit(there).query)["submarine-ticket"]
    content.cookies.set("submarine_content", ticket)  # a ticket is no pass
    assert content.get("/ray/one/", headers=FETCH).status_code == 401
    content.cookies.clear()
    assert "set-cookie" in content.get(there, headers=OPENED).headers
    content.cookies.clear()
    again = content.get(there, headers=OPENED)
    assert "set-cookie" not in again.headers and "submarine-ticket" not in again.headers["location"]


def test_a_ticket_is_good_for_seconds(
    service: TestClient, content: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = arrive(service)
    monkeypatch.setattr("submarine_ray.content.tickets.time.time", lambda: 4e9)
    assert "set-cookie" not in content.get(there, headers=OPENED).headers


def test_a_pass_opens_its_object_alone(service: TestClient, content: TestClient) -> None:
    content.get(arrive(service), headers=OPENED)
    (value,) = content.cookies.values()
    content.cookies.clear()
    content.cookies.set("submarine_content", value)
    assert content.get("/ray/one/x", headers=FETCH).status_code == 200
    assert content.get("/ray/two/x", headers=FETCH).status_code == 401
    assert content.get("http://localhost:32081/ray/one/x", headers=FETCH).status_code == 401
    # Nor does it open the service itself.
    for path in ("/api/v1/cluster", "/ray/one/"):
        cookie = f"submarine_content={value}; submarine_session={value}"
        assert service.get(path, headers={"Cookie": cookie}).status_code == 401


def test_a_pass_ends_with_the_sign_in(service: TestClient, content: TestClient) -> None:
    browser = TestClient(service.app, base_url="http://127.0.0.1:32080", follow_redirects=False)
    assert browser.post("/login", data={"token": TOKEN}).status_code == 303
    sent = browser.get("/ray/one/", headers={name: value for name, value in CLICK.items() if name != "Authorization"})
    content.get(sent.headers["location"], headers=OPENED)
    assert content.get("/ray/one/x", headers=FETCH).status_code == 200
    for session in service.get("/api/v1/session", headers=KNOWN).json()["result"]:
        service.delete(f"/api/v1/session/{session['sessionId']}", headers=KNOWN)
    assert content.get("/ray/one/x", headers=FETCH).status_code == 401


def test_without_a_pass_a_page_goes_to_the_main_origin_and_a_script_gets_nothing(content: TestClient) -> None:
    sent = content.get("/ray/one/?a=b", headers=OPENED)
    assert sent.status_code == 303 and sent.headers["location"] == "http://127.0.0.1:32080/ray/one/?a=b"
    refused = content.get("/ray/one/", headers=FETCH)
    assert refused.status_code == 401 and "another tab" in refused.json()["message"]


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/experiment", "/api/v1/cluster", "/mlflow/", "/login", "/docs", "/health", "/metrics",
             "/experiments", "/_nicegui_ws/socket.io/", "/workbench-static/workbench.css", "/openapi.json", "/help/"],
)  # fmt: skip
def test_nothing_of_the_service_is_on_the_contents_origin(content: TestClient, path: str) -> None:
    for headers in (KNOWN, {**CLICK, "Cookie": "submarine_session=x"}):
        answer = content.get(path, headers=headers)
        assert answer.status_code == 404 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {**FETCH, "Sec-Fetch-Site": "same-site"},  # another port's page
        {**FETCH, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
        {**FETCH, "Origin": "http://127.0.0.1:32080"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:32081"},
        {**OPENED, "Sec-Fetch-Dest": "iframe"},
        {**OPENED, "Origin": "http://evil.example"},  # a form
    ],
)
def test_other_origins_reach_no_content(service: TestClient, content: TestClient, headers: dict[str, str]) -> None:
    content.get(arrive(service), headers=OPENED)
    count = len(Dashboard.seen)
    assert content.get("/ray/one/x", headers=headers).status_code == 403
    assert len(Dashboard.seen) == count


def test_websockets_need_the_exact_origin(service: TestClient, content: TestClient) -> None:
    content.get(arrive(service), headers=OPENED)
    for headers in ({}, {"Origin": "http://127.0.0.1:32080"}, {"Origin": "http://127.0.0.1:3000"}, {"Origin": "null"}):
        with pytest.raises(Exception, match="") as refused, content.websocket_connect("/ray/one/x", headers=headers):
            pass
        assert isinstance(refused.value, WebSocketDisconnect) or "403" in repr(refused.value)


def test_a_program_uses_the_main_origin(service: TestClient) -> None:
    answer = service.get("/ray/one/api/version", headers=KNOWN)
    assert answer.status_code == 200 and answer.text == "board"
    assert "set-cookie" not in answer.headers and answer.headers["content-security-policy"].startswith("sandbox")
    assert service.get("/ray/one/").status_code == 401


@pytest.mark.parametrize(
    "headers", [{**KNOWN, **FETCH}, {**KNOWN, "Cookie": "a=b"}, {**KNOWN, "Origin": "http://127.0.0.1:32080"}]
)
def test_a_page_fetches_no_content_from_the_main_origin(service: TestClient, headers: dict[str, str]) -> None:
    count = len(Dashboard.seen)
    assert service.get("/ray/one/x", headers=headers).status_code == 403
    assert len(Dashboard.seen) == count


def test_pages_of_content_change_and_read_nothing_of_the_service(service: TestClient) -> None:
    """On loopback a browser sends cookies to every port: the origin is what tells them apart."""
    for origin in (CONTENT, "http://localhost:32081"):
        page = {**KNOWN, "Origin": origin, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
        for method, path in (("POST", "/api/v1/experiment"), ("DELETE", "/api/v1/cluster/one"), ("POST", "/login")):
            assert service.request(method, path, headers=page).status_code == 403, (method, path)
        read = service.get("/api/v1/cluster", headers=page)
        assert not [name for name in read.headers if name.startswith("access-control")]
        preflight = service.options("/api/v1/cluster", headers={**page, "Access-Control-Request-Method": "POST"})
        assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_localhost_is_a_name_too(service: TestClient, content: TestClient) -> None:
    there = arrive(service, "/ray/one/", Host="localhost:32080")
    assert there.startswith("http://localhost:32081/ray/one/?submarine-ticket=")
    swapped = content.get(there, headers=OPENED)
    assert "set-cookie" in swapped.headers
    back = TestClient(service.app, base_url="http://localhost:32081", follow_redirects=False).get(
        "/ray/one/", headers=OPENED
    )
    assert back.headers["location"] == "http://localhost:32080/ray/one/"
    strange = TestClient(service.app, base_url="http://evil.example:32081", follow_redirects=False)
    assert strange.get("/ray/one/", headers=OPENED).status_code == 404


def test_what_is_not_there_is_said_on_the_main_origin(service: TestClient) -> None:
    assert service.get("/ray/none/", headers=CLICK).status_code == 404
    assert service.get("/notebook/default/none/lab", headers=CLICK).status_code == 404


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def made(url: str, **more: Any) -> tuple[TestClient, TestClient]:
        settings = Settings(
            home=tmp_path_factory.mktemp("named"),
            token=TOKEN,
            public_url="https://ml.example.com",
            **more,  # type: ignore[arg-type]
        )
        main = without_mlflow(build(settings), "https://ml.example.com")
        return main, TestClient(main.app, base_url=url, follow_redirects=False)

    return made


def test_a_subdomain_in_production(make: Any) -> None:
    main, content = make("https://content.ml.example.com", content_url="https://content.ml.example.com")
    there = arrive(main, "/ray/local/")
    assert there.startswith("https://content.ml.example.com/ray/local/?submarine-ticket=")
    cookie = content.get(there, headers=OPENED).headers["set-cookie"]
    assert cookie.startswith("__Secure-submarine_content=") and "Secure" in cookie
    assert content.get("/api/v1/cluster", headers=KNOWN).status_code == 404
    assert content.get("/ray/local/", headers=FETCH).status_code == 503  # in, and no cluster is there


def test_an_origin_for_each_object(make: Any) -> None:
    main, _ = make("https://x", content_url="https://*.ml-content.example")
    one, two = (arrive(main, path) for path in ("/ray/local/", "/tensorboard/"))
    hosts = [urlsplit(url).netloc for url in (one, two)]
    assert hosts[0] != hosts[1] and all(host.endswith(".ml-content.example") for host in hosts)
    other = TestClient(main.app, base_url=f"https://{hosts[1]}", follow_redirects=False)
    assert other.get(one.replace(hosts[0], hosts[1]), headers=OPENED).status_code == 404


def test_encrypted_and_without_an_address_for_content_it_says_what_to_set(make: Any) -> None:
    main, _ = make("https://x")
    answer = main.get("/ray/local/", headers=CLICK)
    assert answer.status_code == 503 and "SUBMARINE_CONTENT_URL" in answer.text


@pytest.mark.parametrize("trusted", [False, True])
def test_one_origin_for_all_is_a_sandbox_unless_it_is_trusted(make: Any, trusted: bool) -> None:
    main, _ = make("https://x", content_url="https://ml.example.com", trust_content=trusted)
    answer = main.get("/ray/local/", headers=CLICK)
    told = [one for one in main.app.state.platform.exposure.found() if "SUBMARINE_TRUST_CONTENT" in one]
    assert len(told) == trusted
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 503 and ("sandbox" in policy) is not trusted and "allow-same-origin" not in policy


def test_an_address_for_content_is_an_origin(tmp_path: Any) -> None:
    for wrong in (
        "content.example.com",
        "https://a.example/x",
        "ftp://a.example",
        "https://a.*.example",
        "https://u:p@a",
        "https://a.example:99999",
    ):
        with pytest.raises(ValueError, match="no address to show content at"):
            Settings(home=tmp_path, content_url=wrong)
