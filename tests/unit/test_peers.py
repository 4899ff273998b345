"""A service without a token answers the processes of its own user and root, and of nobody else on the machine."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from submarine_ray.access import callers, connections, opening, peers
from submarine_ray.access.connections import PeerProtocol
from submarine_ray.access.gate import Gate
from submarine_ray.client.http import Service, own_token
from submarine_ray.core.settings import Settings, explained
from submarine_ray.spec.strength import weakness
from tests.conftest import calls_as, free_port, wait_until

NOBODY = 65534
WAYS = [pytest.param(peers._asked, id="sock_diag"), pytest.param(peers._read, id="table")]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


async def who(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": callers.caller(HTTPConnection(scope)).name})
        await send({"type": "websocket.close"})
    elif scope["type"] == "http":
        await JSONResponse({"name": callers.caller(HTTPConnection(scope)).name})(scope, receive, send)


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    port = free_port()
    gate = Gate(who, Settings(port=port))
    config = uvicorn.Config(gate, port=port, http=PeerProtocol, log_config=None, lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 20, "the service answers")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def as_nobody(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code as another user, with modules that are imported before: that user may not read them."""
    lines = "import encodings.idna, os, socket, struct, sys, urllib.error, urllib.request\n"
    command = [sys.executable, "-I", "-c", f"{lines}os.setgid({NOBODY}); os.setuid({NOBODY})\n{code}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


ASKS = """
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.code, refusal.read().decode())
"""


def test_the_own_user_is_known_over_http_and_websockets(service: str) -> None:
    with httpx.Client(base_url=service, trust_env=False) as http:
        for _ in range(2):  # the second on the same connection
            assert http.get("/").json() == {"name": f"user {os.geteuid()} of this machine"}
    with connect(service.replace("http", "ws"), proxy=None) as socket:
        assert socket.recv() == f"user {os.geteuid()} of this machine"


@as_root
def test_another_user_of_the_machine_is_refused_with_a_sentence(service: str) -> None:
    done = as_nobody(ASKS, service)
    assert done.stdout.startswith("401 "), done
    assert "answers its own user alone" in done.stdout and "SUBMARINE_TOKEN" in done.stdout


def test_who_comes_through_a_proxy_is_not_the_proxys_user(service: str) -> None:
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-User", "X_Forwarded_For"):
        with httpx.Client(base_url=service, trust_env=False) as http:
            assert http.get("/", headers={header: "203.0.113.7"}).status_code == 401, header
    with pytest.raises(InvalidStatus, match="401"):
        connect(service.replace("http", "ws"), additional_headers={"X-Forwarded-For": "203.0.113.7"}, proxy=None)


def test_who_comes_by_another_name_has_come_through_something() -> None:
    http = TestClient(Gate(who, Settings(allowed_hosts=["ml.example.org"])), base_url="http://ml.example.org")
    assert http.get("/").status_code == 401
    for name in ("localhost:9000", "127.0.0.1", "[::1]:32080"):
        assert http.get("/", headers={"Host": name}).status_code == 200, name
    with pytest.raises(ValidationError) as caught:
        Settings(public_url="https://ml.example.org")
    assert "through a proxy or a tunnel" in explained(caught.value) and "openssl rand" in explained(caught.value)


def test_a_client_without_a_connection_is_nobody() -> None:
    client = TestClient(Gate(who, Settings()), base_url="http://127.0.0.1:32080")
    assert client.get("/").status_code == 200  # as tests set it up
    for uid in (NOBODY, None):
        assert calls_as(client, uid).get("/").status_code == 401
    client.app_state.clear()
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("find", WAYS)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_kernel_tells_whose_a_connection_is(find: peers.Finder, family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1" if family is socket.AF_INET else "::1", 0), family=family) as listener:
        caller = socket.create_connection(listener.getsockname()[:2])
        with listener.accept()[0] as accepted:
            assert peers._found(find, accepted) == os.geteuid()
            caller.shutdown(socket.SHUT_WR)  # it still waits for the answer
            assert peers._found(find, accepted) == os.geteuid()
            caller.close()
            assert peers._found(find, accepted) is None


@pytest.mark.parametrize("find", WAYS)
def test_a_socket_of_ipv6_may_call_over_ipv4(find: peers.Finder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET6) as caller:
        caller.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))
        with listener.accept()[0] as accepted:
            assert peers._found(find, accepted) == os.geteuid()


LEAVES = """
caller = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
caller.send(b"POST / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
"""


@as_root
@pytest.mark.parametrize("find", WAYS)
def test_a_sender_who_has_gone_does_not_count_as_root(find: peers.Finder) -> None:
    """The kernel names root as the user of sockets that no process holds any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert as_nobody(LEAVES, str(listener.getsockname()[1])).returncode == 0
        with listener.accept()[0] as accepted:
            assert peers._found(find, accepted) is None


class Seen:
    """An accepted connection whose ends were read before the caller left."""

    def __init__(self, accepted: socket.socket) -> None:
        self._peer, self._own = accepted.getpeername(), accepted.getsockname()
        self.getsockopt = accepted.getsockopt

    def getpeername(self) -> Any:
        return self._peer

    def getsockname(self) -> Any:
        return self._own


def _taken_over(listener: socket.socket, ours: socket.socket) -> tuple[socket.socket, Seen]:
    """What was accepted of somebody who has reset their connection, and whose port `ours` has now."""
    while True:
        theirs = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        seen = Seen(accepted)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        port = theirs.getsockname()[1]
        theirs.close()
        try:
            ours.bind(("127.0.0.1", port))
        except OSError:  # another process of this machine was faster
            accepted.close()
        else:
            return accepted, seen


@pytest.mark.parametrize("find", WAYS)
def test_who_takes_over_a_callers_port_does_not_take_over_the_connection(find: peers.Finder) -> None:
    """Somebody resets their connection, and a process of ours happens to call from the same port before we look."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as ours:
        accepted, seen = _taken_over(listener, ours)
        with accepted:
            ours.connect(listener.getsockname())
            with listener.accept()[0] as mine:
                assert peers._found(find, mine) == os.geteuid()
                assert peers._found(find, seen) is None


def test_where_users_cannot_be_told_apart_a_token_is_made_and_found_by_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMARINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(peers, "_way", lambda: None)
    made = opening.closed(Settings()).token
    assert made is not None and weakness(made.get_secret_value()) is None
    file = tmp_path / "home" / "token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert opening.closed(Settings()).token == made  # the same after a restart
    assert own_token("http://127.0.0.1:32080") == own_token("http://localhost:32080") == made.get_secret_value()
    assert own_token("https://submarine.example.org") is None  # it is of this machine
    assert Service("http://127.0.0.1:1")._http.headers["Authorization"] == f"Bearer {made.get_secret_value()}"
    client = TestClient(Gate(who, opening.closed(Settings())), base_url="http://127.0.0.1:32080")
    assert client.get("/").status_code == 401
    headers = {"Authorization": f"Bearer {made.get_secret_value()}"}
    assert client.get("/", headers=headers).status_code == 200

    monkeypatch.setattr(peers, "_way", lambda: peers._asked)
    assert opening.closed(Settings()).token is None and not file.exists()


def test_users_that_the_kernel_cannot_name_are_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    peers._way.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    assert not peers.can_be_known() and not connections.is_own_user(None)
    peers._way.cache_clear()
