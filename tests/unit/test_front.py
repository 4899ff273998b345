"""What a load balancer of ours says of a connection: read from real sockets, whole, in pieces, wrong and not at all."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from websockets.sync.client import connect

from submarine_ray.access import connections
from submarine_ray.access.connections import PeerProtocol
from submarine_ray.cli import front as balancer
from submarine_ray.content import listener
from submarine_ray.core.limits.connections import Connections, Limits
from submarine_ray.core.limits.front import SIGNATURE, Ends, NoHeader, read
from submarine_ray.core.limits.protocol import BoundedWebSocket, served
from submarine_ray.core.settings import Settings
from tests.conftest import wait_until

REQUEST = b"GET /who HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def header(client: str, server: str, ports: tuple[int, int] = (1234, 32081), extra: bytes = b"") -> bytes:
    ends = [ip_address(client), ip_address(server)]
    family = 0x11 if ends[0].version == 4 else 0x21
    body = b"".join(one.packed for one in ends) + struct.pack("!HH", *ports) + extra
    return SIGNATURE + struct.pack("!BBH", 0x21, family, len(body)) + body


LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)
ODD = [
    pytest.param(SIGNATURE + struct.pack("!BBH", 0x11, 0x11, 12) + bytes(12), id="another version"),
    pytest.param(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 8) + bytes(8), id="too short"),
    pytest.param(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 65535), id="too long"),
]


@pytest.mark.parametrize(("client", "server"), [("10.1.2.3", "127.0.0.1"), ("fe80::1", "::1")])
def test_a_header_is_read_at_whatever_byte_it_is_cut(client: str, server: str) -> None:
    whole = header(client, server, extra=b"\x04\x00\x01x") + REQUEST
    size = len(whole) - len(REQUEST)
    for cut in range(1, size):
        assert read(whole[:cut]) is None, cut
    assert read(whole) == (Ends((client, 1234), (server, 32081)), REQUEST)


def test_without_addresses_there_are_none() -> None:
    assert read(LOCAL + REQUEST) == (Ends(None, None), REQUEST)
    assert read(REQUEST) == (Ends(None, None), REQUEST)
    unix = SIGNATURE + struct.pack("!BBH", 0x21, 0x31, 216) + bytes(216)
    assert read(unix + b"x") == (Ends(None, None), b"x")


@pytest.mark.parametrize("data", ODD)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(NoHeader):
        read(data)


async def who(scope: Any, receive: Any, send: Any) -> None:
    said = {key: scope.get(key) for key in ("client", "server")} | {"uid": connections.peer_uid(scope)}
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(said)})
        await send({"type": "websocket.close"})
        return
    HTTPConnection(scope)
    await JSONResponse(said)(scope, receive, send)


@pytest.fixture(params=["asyncio", "uvloop"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "own" / "s.sock"
    _, sockets = listener.opened(Settings(home=tmp_path, socket=where))
    counted = Connections(100, 100, replace(Limits(), head_seconds=1))
    config = uvicorn.Config(
        who, http=served(PeerProtocol, counted), ws=served(BoundedWebSocket, counted), log_config=None, lifespan="off",
        loop=request.param,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    wait_until(lambda: server.started, 20, "it listens")
    yield where
    server.should_exit = True
    thread.join(20)


def asked(path: Path, *pieces: bytes) -> bytes:
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def answered(path: Path, *pieces: bytes) -> dict[str, Any]:
    return dict(json.loads(asked(path, *pieces).partition(b"\r\n\r\n")[2]))


def test_a_service_behind_it_knows_both_ends_and_takes_nobody_for_its_own_user(path: Path) -> None:
    whole = header("127.0.0.9", "127.0.0.1")
    expected = {"client": ["127.0.0.9", 1234], "server": ["127.0.0.1", 32081], "uid": None}
    assert answered(path, whole + REQUEST) == expected
    assert answered(path, whole[:5], whole[5:], REQUEST[:9], REQUEST[9:]) == expected
    assert answered(path, LOCAL + REQUEST) == answered(path, REQUEST)
    assert answered(path, REQUEST)["client"] is None


def test_a_websocket_knows_them_too(path: Path) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.sendall(header("127.0.0.9", "127.0.0.1"))
    with connect("ws://127.0.0.1/", sock=connection) as websocket:
        assert json.loads(websocket.recv(timeout=20))["server"] == ["127.0.0.1", 32081]


@pytest.mark.parametrize("data", ODD)
def test_the_connection_ends_with_what_is_no_header(path: Path, data: bytes) -> None:
    try:
        assert asked(path, data) == b""
    except ConnectionResetError:
        pass


def test_a_header_that_does_not_come_is_not_waited_for(path: Path) -> None:
    try:
        assert asked(path, SIGNATURE) == b""
    except ConnectionResetError:
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_other_users_cannot_speak_for_anybody(path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0 == path.parent.stat().st_mode & 0o077
    modes = {place: place.stat().st_mode for place in (path, *path.parents) if place.stat().st_mode & 0o001 == 0}
    code = f"""
import os, socket
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect({str(path)!r})
try:
    connection.sendall({REQUEST!r})
    assert connection.recv(100) == b""
except (ConnectionResetError, BrokenPipeError):
    pass
"""
    try:  # were the place open, all the same:
        for place, mode in modes.items():
            place.chmod(mode | (0o666 if place == path else 0o011))
        subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    finally:
        for place, mode in modes.items():
            place.chmod(mode & 0o777)


def test_a_socket_where_others_may_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "own").mkdir(mode=0o700)
    with pytest.raises(listener.CannotListen, match="may be written by other users"):
        listener.opened(Settings(home=tmp_path, socket=shared / "own" / "s.sock"))


def test_the_balancer_takes_paths_and_addresses_as_they_are() -> None:
    text = balancer.configuration("::1", [1, 2], [Path("/a b/it's $X/1.sock")])
    assert "    bind [::1]:1\n    bind [::1]:2" in text
    assert r"server service-1 'unix@/a b/it'\''s $X/1.sock' cookie 1" in text
