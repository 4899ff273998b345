"""Signing in with a browser and out again; sessions in the database; guesses that are bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event
from starlette.websockets import WebSocket, WebSocketDisconnect

from submarine_ray.access import endpoints
from submarine_ray.access import sessions as sessions_module
from submarine_ray.access.exposure import Exposure
from submarine_ray.access.gate import Gate
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.sessions import Sessions
from submarine_ray.clusters import endpoints as cluster_endpoints
from submarine_ray.core.database import Database
from submarine_ray.core.http import add_error_handlers
from submarine_ray.core.settings import Settings
from tests.conftest import TOKEN

BASE = "http://127.0.0.1:32080"
COOKIE = "submarine_session"
KEY = b"of this test"
NOTEBOOK = Principal(PrincipalKind.NOTEBOOK, "notebook-1")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    yield made
    made.close()


def browser(database: Database, base_url: str = BASE, address: str = "192.0.2.1", **settings: Any) -> TestClient:
    """One browser at a service of its own process (what it knows of sessions, it knows from the database)."""
    found = Settings(**({"token": TOKEN} | settings))
    sessions = Sessions(database, found, KEY)
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(endpoints.router(sessions, Exposure(found)))
    app.include_router(cluster_endpoints.router(None))  # type: ignore[arg-type]  # whoever reaches it is let in

    @app.get("/api/v1/things")
    def things() -> str:
        return "things"

    async def live(scope: Any, receive: Any, send: Any) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (live if scope["type"] == "websocket" else app)(scope, receive, send)

    gate = Gate(both, found, tokens=lambda _: NOTEBOOK, opens=lambda *_: True, sessions=sessions)
    return TestClient(gate, base_url=base_url, follow_redirects=False, client=(address, 50000))


def sign_in(http: TestClient, token: str = TOKEN) -> Any:
    return http.post("/login", data={"token": token, "next": "/"}, headers={"Origin": str(http.base_url).rstrip("/")})


def test_a_stolen_cookie_dies_with_the_sign_out(database: Database) -> None:
    http = browser(database)
    answer = sign_in(http)
    assert answer.status_code == 303
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said and "SameSite=lax" in said and "Path=/" in said and TOKEN not in said
    stolen = http.cookies[COOKIE]
    assert http.get("/api/v1/things").status_code == 200
    thief = {"Cookie": f"{COOKIE}={stolen}"}
    http.cookies.clear()
    assert http.get("/api/v1/things", headers=thief).status_code == 200
    left = http.post("/logout", headers={**thief, "Origin": BASE})
    assert left.status_code == 303 and f'{COOKIE}=""' in left.headers["set-cookie"]
    assert http.get("/api/v1/things", headers=thief).status_code == 401  # at once
    assert browser(database).get("/api/v1/things", headers=thief).status_code == 401


def test_two_sign_ins_have_nothing_in_common(database: Database) -> None:
    one, other = browser(database), browser(database)
    sign_in(one), sign_in(other)
    assert one.cookies[COOKIE] != other.cookies[COOKIE]
    one.post("/logout")
    assert one.get("/api/v1/things").status_code == 401 and other.get("/api/v1/things").status_code == 200


def test_the_database_opens_nothing(database: Database, tmp_path: Path) -> None:
    http = browser(database)
    sign_in(http)
    path = http.post("/api/v1/session/link").json()["result"]["path"]
    with database.engine.connect() as connection:
        rows = [
            *connection.exec_driver_sql("SELECT * FROM sign_in_session"),
            *connection.exec_driver_sql("SELECT * FROM sign_in_link"),
        ]
    said = " ".join(str(value) for row in rows for value in row)
    assert len(rows) == 2
    for secret in (http.cookies[COOKIE], path.split("=")[1], TOKEN):
        assert secret not in said
    for value in said.split():  # what is in the database, shown as a cookie
        assert http.get("/api/v1/things", headers={"Cookie": f"{COOKIE}={value}"}).status_code in (200, 401)
    anonymous = browser(database)
    assert {anonymous.get("/api/v1/things", cookies={COOKIE: value}).status_code for value in said.split()} == {401}


def test_invented_secrets_cost_the_database_nothing(database: Database) -> None:
    http = browser(database)
    sign_in(http)
    said, seal = http.cookies[COOKIE].split(".")
    http.cookies.clear()
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    for secret in ("x" * 43, f"{'x' * 43}.{seal}", f"{said}.{'0' * len(seal)}", f"{said}.", ".", "a.b.c", "x" * 5000):
        assert http.get("/api/v1/things", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 401
        assert http.get("/login", params={"ticket": secret}).status_code == 401
    assert asked == []


def test_foreign_cookies_do_not_break_the_sign_in(database: Database) -> None:
    http = browser(database)
    sign_in(http)
    own = f"{COOKIE}={http.cookies[COOKIE]}"
    http.cookies.clear()
    for foreign in (
        '{"a": [1, 2]}',
        "a[0]=1",
        "x y=z",
        "ü=1",
        "=",
        "a",
        ";;",
        'b="c',
        "{}=(),/:<>?@",
        f"{COOKIE}=tossed",
        "$Version=1",
    ):
        for cookies in (f"{foreign}; {own}", f"{own}; {foreign}"):
            answer = http.get("/api/v1/things", headers={b"Cookie": cookies.encode("latin-1")})  # type: ignore[arg-type]
            assert answer.status_code == 200, cookies


def test_sessions_are_listed_and_revoked(database: Database) -> None:
    one, other = browser(database), browser(database, address="192.0.2.7")
    sign_in(one), sign_in(other)
    found = one.get("/api/v1/session").json()["result"]
    assert [session["address"] for session in found] == ["192.0.2.7", "192.0.2.1"]
    assert one.delete(f"/api/v1/session/{found[0]['sessionId']}").status_code == 200
    assert len(one.get("/api/v1/session").json()["result"]) == 1
    assert one.delete(f"/api/v1/session/{found[0]['sessionId']}").status_code == 404
    sessions_module.KNOWN_SECONDS, kept = (
        -1.0,
        sessions_module.KNOWN_SECONDS,
    )  # the other service's two seconds are over
    try:
        assert other.get("/api/v1/things").status_code == 401
    finally:
        sessions_module.KNOWN_SECONDS = kept


def test_sessions_end_by_themselves_and_with_the_token(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    http = browser(database)
    said = sign_in(http).headers["set-cookie"]
    assert f"Max-Age={7 * 24 * 3600}" in said
    stays = {"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
    assert browser(database).get("/api/v1/things", headers=stays).status_code == 200  # after a restart too
    assert browser(database, token="another-token-2f6b9c").get("/api/v1/things", headers=stays).status_code == 401
    now = sessions_module.now_ms()
    monkeypatch.setattr(sessions_module, "now_ms", lambda: now + 7 * 24 * 3600 * 1000)
    assert http.get("/api/v1/things", headers=stays).status_code == 401
    sign_in(http)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sign_in_session").scalar() == 1  # the old one is swept


def test_over_https_the_cookie_is_for_it_alone(database: Database) -> None:
    http = browser(database, public_url="https://ml.example.org")
    headers = {"Host": "ml.example.org", "Origin": "https://ml.example.org"}  # as a proxy sends it that ends TLS
    said = http.post("/login", data={"token": TOKEN}, headers=headers).headers["set-cookie"]
    assert said.startswith("__Host-submarine_session=") and "Secure" in said and "Domain" not in said
    assert http.get("/api/v1/things", headers={"Cookie": said.split(";")[0]}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "is_https"),
    [
        ({"public_url": "https://ml.example.org"}, "ml.example.org", True),
        ({"public_url": "https://ml.example.org"}, "ml.example.org:32080", False),  # directly, beside the proxy
        ({"public_url": "http://inside", "allowed_hosts": ["https://ml.example.org"]}, "ml.example.org", True),
        ({"public_url": "http://ml.example.org"}, "ml.example.org", False),
        ({"public_url": "https://ml.example.org"}, "127.0.0.1:32080", False),
    ],
)
def test_a_links_cookie_is_for_https_alone_too(
    database: Database, settings: dict[str, Any], host: str, is_https: bool
) -> None:
    http = browser(database, **settings)
    path = http.post("/api/v1/session/link", headers=BEARER).json()["result"]["path"]
    said = http.get(path, headers={"Host": host}).headers["set-cookie"]  # no Origin: a browser follows a link
    assert said.startswith("__Host-submarine_session=") == is_https and ("; Secure" in said) == is_https


def test_a_link_signs_in_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    http = browser(database)
    path = http.post("/api/v1/session/link", headers=BEARER).json()["result"]["path"]
    assert http.head(path).status_code == 200  # looking does not use it up
    signed_in = http.get(f"{path}&next=/experiments")
    assert signed_in.status_code == 303 and signed_in.headers["location"] == "/experiments"
    assert http.get("/api/v1/things").status_code == 200
    again = browser(database).get(path)
    assert again.status_code == 401 and "has expired or was used already" in again.text
    path = http.post("/api/v1/session/link").json()["result"]["path"]
    now = sessions_module.now_ms()
    monkeypatch.setattr(sessions_module, "now_ms", lambda: now + 601_000)
    assert browser(database).get(path).status_code == 401
    assert browser(database).post("/api/v1/session/link").status_code == 401


def test_guesses_are_bounded_per_address_and_for_the_account(database: Database) -> None:
    http = browser(database)
    with structlog.testing.capture_logs() as logs:
        codes = [sign_in(http, f"guess-number-{number}").status_code for number in range(12)]
    assert codes[:5] == [401] * 5 and codes[5:] == [429] * 7
    wrong = [line for line in logs if line["event"] == "access.wrong_token"]
    assert [(line["guesses"], line["address"]) for line in wrong] == [(n, "192.0.2.1") for n in range(1, 6)]
    assert "guess-number" not in str(logs)
    refused = sign_in(http)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1  # with the right one too
    bearer = http.get("/api/v1/things", headers=BEARER)
    assert bearer.status_code == 429 and int(bearer.headers["Retry-After"]) >= 1 and "wait" in bearer.json()["message"]
    assert http.get("/health").status_code == 404  # no token was shown


def test_wrong_bearer_tokens_count_and_the_same_one_counts_once(database: Database) -> None:
    http = browser(database)
    old = {"Authorization": "Bearer of-last-year-2f6b9c"}
    assert {http.get("/api/v1/things", headers=old).status_code for _ in range(30)} == {401}
    assert http.get("/api/v1/things", headers=BEARER).status_code == 200
    guesses = [http.get("/api/v1/things", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(12)]
    assert guesses[0] == 401 and guesses[-1] == 429
    assert http.get("/api/v1/things", headers=BEARER).status_code == 200  # who has shown it before is not locked out
    odd = {b"Authorization": "Bearer ü".encode("latin-1")}
    assert http.get("/api/v1/things", headers=odd).status_code == 429  # type: ignore[arg-type]


def test_open_pages_end_with_the_session(database: Database) -> None:
    with browser(database) as http:
        sign_in(http)
        url = f"{BASE.replace('http', 'ws')}/live"
        cookie = {"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
        with http.websocket_connect(url, headers=dict(cookie)) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
            http.post("/logout")
            with pytest.raises(WebSocketDisconnect) as ended:
                socket.receive_text()
            assert ended.value.code == 1008
        with pytest.raises((WebSocketDisconnect, Exception)):
            http.websocket_connect(url, headers=dict(cookie)).__enter__()


def test_without_a_token_people_are_told_how_to_get_in(database: Database) -> None:
    http = browser(database, token=None)
    http.app_state["peer_uid"] = 65534
    sent = http.get("/experiments?tag=a%20b&page=2", headers={"Accept": "text/html"})
    assert sent.status_code == 303 and sent.headers["location"] == "/login?next=/experiments%3Ftag%3Da%2520b%26page%3D2"
    page = http.get(sent.headers["location"])
    assert "own user alone" in page.text and "submarine sign-in" in page.text and "<form" not in page.text
    assert sign_in(http, "").status_code == 401
    http.app_state["peer_uid"] = None
    link = browser(database, token=None).post("/api/v1/session/link").json()["result"]["path"]  # of the own user
    assert http.get(link).status_code == 303 and http.get("/api/v1/things").status_code == 200


def test_the_page_can_be_framed_by_nobody_and_escapes_what_it_is_given(database: Database) -> None:
    page = browser(database).get("/login?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script" not in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert re.search("no-store", page.headers["cache-control"])
    assert browser(database).get("/logout").status_code == 405


def test_what_is_administrators_business_opens_with_no_token_of_a_notebook(database: Database) -> None:
    http = browser(database)
    headers = {"Authorization": "Bearer sra_of-a-notebook"}
    assert http.get("/api/v1/things", headers=headers).status_code == 200
    cluster = {"name": "mine", "kind": "ray", "address": "http://10.1.2.3:8265"}
    for method, path, body in (
        ("POST", "/api/v1/cluster", cluster),
        ("DELETE", "/api/v1/cluster/local", None),
        ("GET", "/api/v1/session", None),
        ("GET", "/api/v1/exposure", None),
        ("POST", "/api/v1/session/link", None),
        ("DELETE", "/api/v1/session/abc", None),
    ):
        answer = http.request(method, path, headers=headers, json=body)
        assert answer.status_code == 403, (method, path)
        assert "Only administrators may do this, and the notebook 'notebook-1' is none." in answer.json()["message"]
