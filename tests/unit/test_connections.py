"""Slow, half-open and endless requests, before anybody has signed in; against a server of the test's own."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from submarine_ray.core.limits.connections import RESERVE, RESERVE_OF_PEER, Admittance, Connections, Limits, possible
from submarine_ray.core.limits.protocol import BoundedHttp, BoundedWebSocket, served
from tests.conftest import free_port, wait_until

QUICK = Limits(
    head_seconds=1, body_idle_seconds=1, body_grace_seconds=2, linger_seconds=0.5, unread_seconds=1, look_seconds=0.1,
    health_seconds=0.5,
)  # fmt: skip


async def health(_request: Request) -> Response:
    return PlainTextResponse("well")


async def read(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def headers(request: Request) -> Response:
    await request.body()
    return PlainTextResponse(",".join(name for name in request.headers if name.startswith("x-")))


async def refuse(_request: Request) -> Response:
    return PlainTextResponse("no", 403)


async def much(_request: Request) -> Response:
    return Response(bytes(50_000_000))


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


APP = Starlette(
    routes=[Route("/health", health), Route("/read", read, methods=["POST"]), Route("/refuse", refuse, methods=["POST"]),
            Route("/headers", headers, methods=["POST"]), Route("/much", much), WebSocketRoute("/echo", echo)]
)  # fmt: skip


@contextmanager
def serving(connections: Connections) -> Iterator[int]:
    port = free_port()
    config = uvicorn.Config(
        APP, port=port, http=served(BoundedHttp, connections), ws=served(BoundedWebSocket, connections), log_config=None,
        timeout_graceful_shutdown=1, timeout_keep_alive=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, 30, "the server listens")
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Connections(100, 100, QUICK)) as port:
        yield port


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answers(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    found = b""
    with suppress(ConnectionError):
        while piece := connection.recv(2**16):
            found += piece
    return found


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer else 0


def health_status(port: int) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/health", timeout=20, trust_env=False).status_code


def send_until_closed(connection: socket.socket, pieces: Callable[[int], bytes], most: int) -> tuple[int, bytes]:
    """How many bytes it took, and what was answered."""
    sent = number = 0
    connection.settimeout(20)
    try:
        while sent < most:
            piece = pieces(number)
            connection.sendall(piece)
            sent += len(piece)
            number += 1
    except ConnectionError:
        pass
    return sent, answers(connection)


@pytest.mark.parametrize(
    ("begun", "pieces"),
    [
        (b"GET /health HTTP/1.1\r\n", lambda n: b"".join(b"x-%d-%d: y\r\n" % (n, i) for i in range(2000))),
        (b"GET /health HTTP/1.1\r\nx: ", lambda n: b"y" * 20_000),
        (b"GET /health HTTP/1.1\r\n", lambda n: b"n" * 20_000),
        (b"GET /", lambda n: b"a" * 20_000),
    ],
    ids=["many", "value", "name", "address"],
)  # fmt: skip
def test_headers_without_end_are_cut_off(port: int, begun: bytes, pieces: Callable[[int], bytes]) -> None:
    with closing(dial(port)) as connection:
        connection.sendall(begun)
        sent, answer = send_until_closed(connection, pieces, 50_000_000)
    assert sent < 5_000_000 and status(answer) in (0, 400, 431)  # 0: it was closed while we were sending
    assert health_status(port) == 200


@pytest.mark.parametrize("head", [b"x: " + b"y" * 70_000, b"x: y\r\n" * 200])
def test_headers_beyond_the_bound_are_431(port: int, head: bytes) -> None:
    with closing(dial(port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n" + head.removesuffix(b"\r\n") + b"\r\n\r\n")
        answer = answers(connection)
    assert status(answer) == 431 and json.loads(answer.split(b"\r\n\r\n")[1])["code"] == 431


def test_memory_is_not_what_is_sent_as_headers(tmp_path: Path) -> None:
    port = free_port()
    script = f"""
import uvicorn
from submarine_ray.core.limits.protocol import BoundedHttp
from tests.unit.test_connections import APP
uvicorn.run(APP, port={port}, http=BoundedHttp, log_config=None)
"""
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.getcwd()})
    try:

        def is_up() -> bool:
            with suppress(httpx.TransportError):
                return health_status(port) == 200
            return False

        wait_until(is_up, 60, "the server answers")
        before = psutil.Process(process.pid).memory_info().rss
        connections = [dial(port) for _ in range(20)]
        for connection in connections:
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            send_until_closed(connection, lambda n: b"x-%d: y\r\n" % n * 2000, 5_000_000)
            connection.close()
        grown = psutil.Process(process.pid).memory_info().rss - before
        assert grown < 40_000_000, f"{grown / 1e6:.0f} MB"  # without the bound: 1,900
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("begun", "then"),
    [
        (b"", b""),
        (b"GET /health HTTP/1.1\r\nx: y", b""),
        (b"GET /health HTTP/1.1\r\n", b"x: y\r\n"),
        (b"", b"\r\n"),
        (b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nbegun", b""),
        (b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", b"x"),
        (b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n", b"x"),
    ],
    ids=["silent", "half", "dribbled", "blank lines", "half a body", "dribbled body", "dribbled pieces", "answered"],
)
def test_what_is_slow_is_ended(port: int, begun: bytes, then: bytes) -> None:
    with closing(dial(port)) as connection:
        connection.sendall(begun)
        connection.settimeout(0.1)
        began, found = time.monotonic(), b""
        while time.monotonic() - began < 20:
            try:
                if not (piece := connection.recv(2**16)):
                    break
                found += piece
            except TimeoutError:
                with suppress(ConnectionError):
                    connection.sendall(then)
            except ConnectionError:
                break
        else:
            pytest.fail("it was kept")
    assert status(found) == (403 if b"refuse" in begun else 408), found


def test_a_peer_that_does_not_read_is_ended(port: int) -> None:
    with closing(dial(port)) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(2.5)  # what is measured: nothing is read for longer than a peer may wait
        assert len(answers(connection)) < 50_000_000


def test_a_slow_service_is_not_the_peers_fault(port: int) -> None:
    body = bytes(5_000_000)
    answer = httpx.post(f"http://127.0.0.1:{port}/read", content=body, trust_env=False)
    assert answer.text == "5000000"
    with httpx.Client(trust_env=False) as client:  # one connection
        texts = [client.post(f"http://127.0.0.1:{port}/read", content=b"x" * n).text for n in range(50)]
        assert texts == [str(n) for n in range(50)]


def test_requests_that_do_not_wait_for_answers_are_bounded(port: int) -> None:
    request = b"POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx"
    with closing(dial(port)) as connection:
        connection.sendall(request * 7 + request.replace(b"host: x", b"host: x\r\nconnection: close"))
        assert answers(connection).count(b"200 OK") == 8
    with closing(dial(port)) as connection:
        connection.sendall(request * 4000)
        assert answers(connection).count(b"200 OK") < 100
    assert health_status(port) == 200


def test_trailers_are_no_headers(port: int) -> None:
    with closing(dial(port)) as connection:
        connection.sendall(
            b"POST /headers HTTP/1.1\r\nhost: x\r\nx-a: 1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
            b"1\r\nx\r\n0\r\nx-b: 2\r\n\r\n"
        )
        assert answers(connection).endswith(b"x-a")


def handshake(path: str, *more: bytes) -> bytes:
    key = base64.b64encode(bytes(16))
    lines = [b"GET %s HTTP/1.1" % path.encode(), b"host: x", b"upgrade: websocket", b"connection: upgrade",
             b"sec-websocket-version: 13", b"sec-websocket-key: " + key, *more]  # fmt: skip
    return b"\r\n".join([*lines, b"", b""])


def test_websockets_are_counted_and_their_headers_bounded() -> None:
    connections = Connections(1, 1, QUICK)
    with serving(connections) as port, closing(dial(port)) as first:
        first.sendall(handshake("/echo"))
        assert status(first.recv(1000)) == 101
        time.sleep(1.5)  # a WebSocket may be silent for longer than headers may take
        with closing(dial(port)) as second:
            second.sendall(handshake("/echo"))
            answer = answers(second)
            assert status(answer) == 503 and b"retry-after" in answer
        first.close()
        wait_until(lambda: not connections._held, 10, "the connection is given back")
        with closing(dial(port)) as third:
            third.sendall(handshake("/echo", b"x: " + b"y" * 10_000))
            assert status(answers(third)) in (400, 431)


def test_health_is_answered_when_all_connections_are_taken() -> None:
    connections = Connections(40, 40, replace(QUICK, head_seconds=60, health_seconds=2))
    with serving(connections) as port:
        held = [dial(port) for _ in range(40)]
        wait_until(lambda: len(connections._held) == 40, 10, "they are all counted")
        assert health_status(port) == 200
        busy = httpx.post(f"http://127.0.0.1:{port}/read", content=b"x", trust_env=False)
        assert busy.status_code == 503 and busy.headers["retry-after"] and busy.json()["code"] == 503
        more = [dial(port) for _ in range(RESERVE_OF_PEER)]  # they keep no place for long
        wait_until(lambda: _is_well(port), 20, "health is answered again")
        for connection in [*held, *more]:
            connection.close()
        wait_until(lambda: not connections._held, 10, "all are given back")
        assert httpx.post(f"http://127.0.0.1:{port}/read", content=b"x", trust_env=False).text == "1"


def _is_well(port: int) -> bool:
    with suppress(httpx.TransportError):
        return health_status(port) == 200
    return False


def test_one_peer_leaves_room_for_others() -> None:
    connections = Connections(100, 10)
    places = [connections.enter(("a", n), "a") for n in range(30)]
    assert places.count(Admittance.ANY) == 10 and places.count(Admittance.HEALTH) == RESERVE_OF_PEER
    others = [connections.enter((n, 0), n) for n in range(200)]
    assert others.count(Admittance.ANY) == 90 and others.count(Admittance.HEALTH) == RESERVE - RESERVE_OF_PEER
    for n in range(30):
        connections.leave(("a", n))
        connections.leave(("a", n))
    assert connections.enter("new", "b") is Admittance.ANY


def test_there_are_files_for_all_connections() -> None:
    assert 32 <= possible(10**9) < 10**6 and possible(100) == 100


def test_the_service_runs_them() -> None:
    from submarine_ray.access.connections import PeerProtocol

    made: Any = served(PeerProtocol, connections := Connections(1, 1))
    assert issubclass(made, BoundedHttp) and made.open is connections
