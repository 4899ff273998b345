"""uvicorn's protocols, bounded: httptools bounds neither headers nor pipelines, and uvicorn waits for ever.

All of it comes before sign-in. `served` makes the classes that `uvicorn.run` takes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Hashable
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from submarine_ray.core.envelope import error
from submarine_ray.core.limits.connections import MOST, MOST_OF_PEER, OPEN_PATHS, Admittance, Connections

WEBSOCKET_BYTES = 16 * 2**20  # of a message: a cell of a notebook with a picture in it
RETRY = "2"
_IDLE_SECONDS, _PROBES = 60, 3  # a peer that vanished is noticed, whatever is or is not sent
_BUSY = "Too many connections are open; send it again in a moment."


class _Refused(Exception):
    """Ends the parsing of a request; what is answered lies with the protocol."""


class BoundedHttp(HttpToolsProtocol):
    """Requests whose headers, pace and number have bounds; `open` is the service's count of connections."""

    open: Connections = Connections(MOST, MOST_OF_PEER)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._is_in_head = False
        self._head_bytes = self._head_lines = self._fed = 0
        self._seen = 0
        self._begun = self._progress = 0.0
        self._admittance = Admittance.ANY
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def peer(self) -> Hashable:
        """Whose connections are counted together."""
        return self.client[0] if self.client else None

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        watch_for_death(transport)
        self._admittance = self.open.enter(transport, self.peer())
        if self._admittance is Admittance.NONE:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for name in list(self._timers):
            self._stop(name)
        self.open.leave(self.transport)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        if self._admittance is not Admittance.ANY:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
            return
        for name in list(self._timers):
            self._stop(name)
        super().handle_websocket_upgrade()

    def _start(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, act)

    def _stop(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    # Headers

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._is_in_head:
            self._fed += len(data) if was_in_head else 0
            if self._fed > self.open.limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._too_much())
                return
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = self._head_lines = self._fed = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4, 1)
        if self._is_in_head:  # what follows a body in pieces is no header of the request: nobody has looked at it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop("head")
        if len(self.pipeline) >= self.open.limits.pipelined:
            self._refusal = (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests were sent at once; wait for the answers.")
            raise _Refused
        is_open = self._admittance is Admittance.ANY or self.url.partition(b"?")[0] in OPEN_PATHS
        self.app = self.config.loaded_app if is_open else _busy
        super().on_headers_complete()
        if self._admittance is not Admittance.ANY and self.cycle is not None:
            self.cycle.keep_alive = False
        self._seen = 0
        self._begun = self._progress = self.loop.time()
        self._start("body", self.open.limits.look_seconds, self._look)

    def _count_head(self, size: int, lines: int) -> None:
        self._head_bytes += size
        self._head_lines += lines
        limits = self.open.limits
        if self._head_bytes > limits.head_bytes or self._head_lines > limits.head_lines:
            self._refusal = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._too_much())
            raise _Refused

    def _too_much(self) -> str:
        limits = self.open.limits
        return f"The address and headers are more than {limits.head_bytes} bytes, or {limits.head_lines} lines."

    def _expect_head(self) -> None:
        limits = self.open.limits
        seconds = limits.head_seconds if self._admittance is Admittance.ANY else limits.health_seconds
        self._start("head", seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._stop("head")
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The headers did not come in time.")

    # Bodies

    def on_body(self, body: bytes) -> None:
        self._seen += len(body)
        self._progress = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop("body")
        self._stop("linger")

    def on_response_complete(self) -> None:
        is_whole = self.cycle is None or not self.cycle.more_body
        super().on_response_complete()
        if not is_whole and not self.transport.is_closing():
            self._start("linger", self.open.limits.linger_seconds, self.transport.close)

    def _look(self) -> None:
        """Whether the body comes; not while it is the service that does not read."""
        self._stop("body")
        cycle, limits, now = self.cycle, self.open.limits, self.loop.time()
        if cycle is None or not cycle.more_body or cycle.response_complete or self.transport.is_closing():
            return
        if self.flow.read_paused or cycle.waiting_for_100_continue:
            self._begun += limits.look_seconds
            self._progress = now
        is_idle = now - self._progress > limits.body_idle_seconds
        if is_idle or now - self._begun > limits.body_grace_seconds + self._seen / limits.body_rate:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.")
            return
        self._start("body", limits.look_seconds, self._look)

    # Answers

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start("unread", self.open.limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop("unread")

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is no HTTP, and to what a bound above has ended."""
        self._refuse(*(self._refusal or (HTTPStatus.BAD_REQUEST, msg)))

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer, if nothing of an answer was sent, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_written(status, message))
        self.transport.close()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """WebSockets: they count as connections, and what is sent to them must be read."""

    open: Connections = BoundedHttp.open
    _unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.leave(self.transport)
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.open.limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        """uvicorn waits for ever where the headers, which come whole, are none that `websockets` takes."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(_written(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "A header is too long."))
            self.transport.close()


Protocol = TypeVar("Protocol", BoundedHttp, BoundedWebSocket)


def served(protocol: type[Protocol], connections: Connections) -> type[Protocol]:
    """The protocol of one service, which counts its connections there."""
    return type(protocol.__name__, (protocol,), {"open": connections})


def watch_for_death(transport: asyncio.BaseTransport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probes = {"TCP_KEEPIDLE": _IDLE_SECONDS, "TCP_KEEPINTVL": _IDLE_SECONDS // 4, "TCP_KEEPCNT": _PROBES}
    for name, value in probes.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _written(status: HTTPStatus, message: str) -> bytes:
    body = bytes(error(status, message).body)
    again = f"retry-after: {RETRY}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n{again}connection: close\r\n\r\n"
    )
    return head.encode() + body


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    answer = error(HTTPStatus.SERVICE_UNAVAILABLE, _BUSY)
    answer.headers["Retry-After"] = RETRY
    await answer(scope, receive, send)
