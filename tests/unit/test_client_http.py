"""The SDK's way to the service: what is tried again, for how long, and what it raises."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from submarine_ray.cli.processes import beside_proxies
from submarine_ray.client.errors import ApiError, ServiceUnreachable
from submarine_ray.client.http import Service
from tests.conftest import free_port

OK = b'{"status":"OK","code":200,"success":true,"message":null,"result":"Pong","attributes":{}}'


def serve(port: int, answer: Callable[[BaseHTTPRequestHandler, int], None]) -> HTTPServer:
    """A service that answers as the test says; `answer` gets the number of the request."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            answer(self, len(asked))

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    server.asked = asked  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def pong(handler: BaseHTTPRequestHandler, _number: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(OK)))
    handler.end_headers()
    handler.wfile.write(OK)


def broken_at_first(handler: BaseHTTPRequestHandler, number: int) -> None:
    if number < 3:
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
    else:
        pong(handler, number)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_service_that_is_just_starting_is_waited_for(method: str) -> None:
    port = free_port()
    server: list[HTTPServer] = []
    threading.Timer(0.5, lambda: server.append(serve(port, pong))).start()
    assert Service(f"http://127.0.0.1:{port}", patience=20).call(method, "/ping") == "Pong"
    server[0].shutdown()


def test_a_broken_question_is_repeated_only_if_it_changes_nothing() -> None:
    port = free_port()
    server = serve(port, broken_at_first)
    assert Service(f"http://127.0.0.1:{port}", patience=20).call("GET", "/ping") == "Pong"
    server.asked.clear()  # type: ignore[attr-defined]
    for method in ("POST", "DELETE"):
        with pytest.raises(ServiceUnreachable):
            Service(f"http://127.0.0.1:{port}", patience=20).call(method, "/ping")
    assert server.asked == ["POST", "DELETE"]  # type: ignore[attr-defined]
    server.shutdown()


def test_no_proxy_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    port = free_port()
    server = serve(port, pong)
    for host in ("127.0.0.1", "localhost"):
        assert Service(f"http://{host}:{port}", patience=0).call("GET", "/ping") == "Pong"
    with pytest.raises(ServiceUnreachable):
        Service("http://elsewhere.invalid", patience=0).call("GET", "/ping")
    server.shutdown()


def test_what_the_platform_starts_leaves_proxies_out_for_this_machine() -> None:
    assert beside_proxies({"no_proxy": "a"}) == {}
    found = beside_proxies({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "a, 127.0.0.1"})
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["NO_PROXY"].split(",")[:3] == ["a", "127.0.0.1", "localhost"]


def test_patience_ends() -> None:
    begun = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="`submarine up`, or set SUBMARINE_URL to its address"):
        Service(f"http://127.0.0.1:{free_port()}", patience=0).call("GET", "/ping")
    assert time.monotonic() - begun < 5
    with pytest.raises(ServiceUnreachable):
        Service(f"http://127.0.0.1:{free_port()}", patience=0.5).call("GET", "/ping")


def test_a_refusal_is_no_trouble_to_try_again() -> None:
    def refuse(handler: BaseHTTPRequestHandler, _number: int) -> None:
        body = b'{"message":"no such thing"}'
        handler.send_response(404)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    port = free_port()
    server = serve(port, refuse)
    with pytest.raises(ApiError, match="no such thing") as refused:
        Service(f"http://127.0.0.1:{port}").call("GET", "/ping")
    assert refused.value.code == 404 and server.asked == ["GET"]  # type: ignore[attr-defined]
    server.shutdown()
