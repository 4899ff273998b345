"""The reverse proxy before hostile targets and clients: real sockets on both sides."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import uvicorn
import websockets.sync.client as websockets
from websockets.exceptions import InvalidStatus
from websockets.sync.server import ServerConnection, serve

from submarine_ray.core import passing
from submarine_ray.core.http import Receive, Scope, Send
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable
from tests.conftest import free_port, wait_until

Headers = list[tuple[str, str]]


class Upstream:
    """A target that notes what it gets, and answers with what a test wants."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Headers]] = []
        self.status, self.answer, self.body = 200, [], b"hello"  # type: int, Headers, bytes
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append((self.command, self.path, list(self.headers.items())))
                self.send_response(outer.status)
                for name, value in outer.answer:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.seen[-1][2]}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.server.shutdown()


Serve = Callable[[Target], str]


@pytest.fixture
def proxied() -> Iterator[Serve]:
    """What serves a target at a URL of its own."""
    servers: list[uvicorn.Server] = []

    def start(target: Target) -> str:
        proxy = Proxy()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await proxy.forward(scope, receive, send, target)
            except TargetUnreachable as failure:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": str(failure).encode()})

        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        threading.Thread(target=server.run, daemon=True).start()
        wait_until(lambda: server.started, 10, "the proxy answers")
        servers.append(server)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.should_exit = True


def test_no_cookie_of_one_user_travels_with_another(upstream: Upstream, proxied: Serve) -> None:
    upstream.answer = [("Set-Cookie", "victim=secret; Path=/")]
    url = proxied(Target(upstream.address, "/ray/a"))
    httpx.get(f"{url}/ray/a/")  # somebody's
    httpx.get(f"{url}/ray/a/")  # somebody else's
    assert "cookie" not in upstream.headers


def test_what_means_this_connection_or_this_machine_stays_behind(upstream: Upstream, proxied: Serve) -> None:
    url = proxied(Target(upstream.address, "/ray/a", {"Authorization": "Bearer clusters"}))
    sent = {
        "Connection": "close, X-Nominated", "X-Nominated": "1", "Keep-Alive": "1", "TE": "trailers", "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAAP__", "Proxy-Authorization": "Basic x", "Proxy-Connection": "keep-alive",
        "Forwarded": "for=1.2.3.4", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-User": "root", "X_Forwarded_For": "1",
        "X-Real-IP": "1.2.3.4", "Metadata-Flavor": "Google", "Metadata": "true", "X-aws-ec2-metadata-token": "x",
        "X-aws-ec2-metadata-token-ttl-seconds": "60", "X-Google-Metadata-Request": "True", "Remote-User": "root",
        "X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/admin", "Via": "1.1 x", "Authorization": "Bearer mine",
        "Cookie": "a=b; submarine_session=s; __Host-submarine_session=t; Submarine_content=u; c=d",
        "X-XSRFToken": "kept", "Accept": "text/html",
    }  # fmt: skip
    assert httpx.get(f"{url}/ray/a/x?y=%2F", headers=sent).text == "hello"
    own = {"host", "connection", "accept-encoding", "user-agent"}
    assert {name: value for name, value in upstream.headers.items() if name not in own} == {
        "accept": "text/html", "x-xsrftoken": "kept", "cookie": "a=b; c=d", "authorization": "Bearer clusters",
    }  # fmt: skip
    assert upstream.headers.get("connection") in (None, "keep-alive") and upstream.seen[-1][1] == "/ray/a/x?y=%2F"


def test_an_answer_changes_nothing_but_its_own_path(upstream: Upstream, proxied: Serve) -> None:
    upstream.answer = [
        ("Set-Cookie", "a=1; Domain=example.com; Path=/; HttpOnly; SameSite=None; Secure"),
        ("Set-Cookie", "b=2; Path=/ray/a/deep; SameSite=Strict; Max-Age=60"),
        ("Set-Cookie", "c=3; path=/ray/a/../../api"),
        ("Set-Cookie", "submarine_session=fixed; Path=/ray/a/"),
        ("Set-Cookie", "__Host-submarine_session=fixed; Path=/"),
        ("Set-Cookie", "=submarine_session=fixed; Path=/ray/a/"),
        ("Set-Cookie", "submarine_session; Path=/ray/a/"),
        ("Connection", "X-Of-Hop"), ("X-Of-Hop", "1"), ("Keep-Alive", "timeout=5"),
        ("Clear-Site-Data", '"*"'), ("Service-Worker-Allowed", "/"), ("Strict-Transport-Security", "max-age=1"),
        ("Alt-Svc", 'h2="evil.example:443"'), ("Access-Control-Allow-Origin", "*"), ("X-Kept", "1"),
        ("Date", "Thu, 26 Nov 2026 09:00:00 GMT"), ("Server", "Tornado"),
    ]  # fmt: skip
    answer = httpx.get(f"{proxied(Target(upstream.address, '/ray/a'))}/ray/a/")
    assert answer.headers.get_list("set-cookie") == [
        "a=1; HttpOnly; Secure; Path=/ray/a; SameSite=Lax",
        "b=2; Max-Age=60; Path=/ray/a/deep; SameSite=Strict",
        "c=3; Path=/ray/a; SameSite=Lax",
    ]
    assert set(answer.headers) - {"date", "server"} == {"set-cookie", "x-kept", "content-length"}
    assert len(answer.headers.get_list("date")) == 1 and answer.headers.get_list("server") == ["uvicorn"]


def test_redirects_are_the_clients_to_follow(upstream: Upstream, proxied: Serve) -> None:
    upstream.status, upstream.answer = 302, [("Location", "http://169.254.169.254/latest/")]
    answer = httpx.get(f"{proxied(Target(upstream.address, '/ray/a'))}/ray/a/")
    assert answer.status_code == 302 and answer.headers["location"] == "http://169.254.169.254/latest/"
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Content-Length: 4\r\nTransfer-Encoding : chunked",
    ],
)
def test_what_two_could_read_in_two_ways_is_refused(upstream: Upstream, proxied: Serve, lines: str) -> None:
    port = int(proxied(Target(upstream.address, "/ray/a")).rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(f"POST /ray/a/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n\r\n0\r\n\r\n".encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100).startswith(b"HTTP/1.1 400") and not upstream.seen


def test_framing_is_checked_whatever_the_server_has_passed() -> None:
    chunked, four = (b"transfer-encoding", b"chunked"), (b"content-length", b"4")
    passing.check_framing([chunked])
    passing.check_framing([four, (b"x-tab", b"a\tb")])
    for wrong in ([chunked, four], [four, four], [(b"Content-Length", b"4,4")], [chunked, chunked],
                  [(b"transfer-encoding", b"gzip, chunked")], [(b"x", b"a\r\nb: c")], [(b"x", b"\0")]):  # fmt: skip
        with pytest.raises(passing.Ambiguous):
            passing.check_framing(wrong)


@pytest.mark.parametrize("path", ["/ray/x%2Fy", "/ra%79/x/", "/ray%2Fx/"])
def test_a_path_that_means_another_place_there_is_refused(upstream: Upstream, proxied: Serve, path: str) -> None:
    answer = httpx.get(proxied(Target(upstream.address, "/ray/x", strips=True)) + path)
    assert answer.status_code == 400 and "/ray/x" in answer.json()["message"] and not upstream.seen


def test_a_closed_address_is_not_connected_to(upstream: Upstream, proxied: Serve) -> None:
    url = proxied(Target(upstream.address, "/ray/a", outgoing=Outgoing()))
    answer = httpx.get(f"{url}/ray/a/")
    assert answer.status_code == 503 and "SUBMARINE_ALLOW_CLUSTER_NETWORKS" in answer.text and not upstream.seen


def test_a_websocket_brings_its_origin_and_follows_nobody(upstream: Upstream, proxied: Serve) -> None:
    seen: list[dict[str, str]] = []

    def echo(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.socket.getsockname()[1]}"
        url = proxied(Target(address, "/notebook/a", {"X-Own": "1"}, host="content.example"))
        more = {"Cookie": "a=b; submarine_session=s", "X-Forwarded-For": "1.2.3.4", "Metadata-Flavor": "Google"}
        wanted = url.replace("http", "ws") + "/notebook/a/api"
        with websockets.connect(wanted, origin="http://content.example", additional_headers=more) as socket:  # type: ignore[arg-type]
            socket.send("hello")
            assert socket.recv(5) == "hello"
        server.shutdown()
    (headers,) = seen
    assert headers["origin"] == "http://content.example" and headers["host"] == "content.example"
    assert headers["cookie"] == "a=b" and headers["x-own"] == "1"
    assert not {"x-forwarded-for", "metadata-flavor"} & set(headers)

    elsewhere = Upstream()
    url = proxied(Target(upstream.address, "/notebook/a")).replace("http", "ws")
    for location in (f"ws://{elsewhere.address}/", f"ws://{upstream.address}/other"):
        upstream.status, upstream.answer, upstream.seen = 302, [("Location", location)], []
        with pytest.raises(InvalidStatus), websockets.connect(f"{url}/notebook/a/"):
            pass
        assert len(upstream.seen) == 1 and not elsewhere.seen
    elsewhere.server.shutdown()
