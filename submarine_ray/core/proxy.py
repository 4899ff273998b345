"""A reverse proxy for HTTP and WebSocket, streamed both ways without buffering.

The proxies on offer for ASGI are dormant (docs/decisions/0008-own-reverse-proxy.md); the protocols are httpx's and
websockets' here too. It sends through a transport, not a client: nothing keeps cookies or follows redirects.
`passing.py` says which headers pass.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import structlog
import websockets
from websockets.asyncio.client import ClientConnection

from submarine_ray.core import passing
from submarine_ray.core.envelope import error
from submarine_ray.core.http import Message, Receive, Scope, Send
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.outgoing import CheckedAsyncTransport, WebSocket, websocket_target

log = structlog.get_logger(__name__)

TIMEOUT = httpx.Timeout(300, connect=5)
OPEN_SECONDS = 10
_UNSENDABLE_CODES = (1005, 1006, 1015)  # RFC 6455, section 7.4.1: never in a close frame


class TargetUnreachable(Exception):
    """The target does not answer; nothing has been sent to the client yet."""


@dataclass(frozen=True)
class Target:
    """Where to forward to: `address` is host:port; `headers` replace the client's of the same names.

    `path` is where the target's pages lie here, and where its cookies stay. With `strips` the target does not know that
    beginning of its paths. `host` is what it sees as Host, if not its address. With `outgoing` the address is checked.
    """

    address: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    strips: bool = False
    host: str | None = None
    outgoing: Outgoing | None = None


class Proxy:
    """Forwards requests, under the path that they came with unless the target strips its beginning."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        self._transport = CheckedAsyncTransport(limits=limits)

    async def forward(self, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
        """Raises TargetUnreachable."""
        try:
            passing.check_framing(scope["headers"])
            path = _path(scope, target)
        except passing.Ambiguous as failure:
            await error(HTTPStatus.BAD_REQUEST, f"This request is not passed on. {failure}")(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, target, path)
        else:
            await self._request(scope, receive, send, target, path)

    async def close(self) -> None:
        await self._transport.aclose()

    async def _request(self, scope: Scope, receive: Receive, send: Send, target: Target, path: bytes) -> None:
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = httpx.Request(
            scope["method"],
            httpx.URL(f"http://{target.address}").copy_with(raw_path=path),
            headers=_request_headers(scope, target),
            content=_body(receive) if has_body else None,
            extensions={"timeout": TIMEOUT.as_dict(), "outgoing": target.outgoing},
        )
        try:
            answer = await self._transport.handle_async_request(request)
        except (httpx.TransportError, OSError) as failure:
            raise TargetUnreachable(str(failure) or type(failure).__name__) from failure
        try:
            # A client that goes away must not leave an endless answer running.
            answering = asyncio.create_task(_answer(answer, send, target))
            leaving = asyncio.create_task(_disconnected(receive))
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, leaving):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.TransportError):
                await answering
        finally:
            await answer.aclose()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, target: Target, path: bytes) -> None:
        await receive()  # websocket.connect
        try:
            upstream = await WebSocket(
                f"ws://{target.host or target.address}{path.decode('latin-1')}",
                subprotocols=scope.get("subprotocols") or None,
                additional_headers=_websocket_headers(scope, target),
                compression=None,
                max_size=None,
                open_timeout=OPEN_SECONDS,
                proxy=None,
                user_agent_header=None,
                **await websocket_target(f"ws://{target.address}", target.outgoing),
            )
        except websockets.InvalidStatus as refusal:
            log.info("proxy.websocket_refused", path=scope["path"], status=refusal.response.status_code)
            await send({"type": "websocket.close", "code": 1008})
            return
        except (OSError, TimeoutError, websockets.WebSocketException) as failure:
            raise TargetUnreachable(str(failure) or type(failure).__name__) from failure
        async with upstream:
            await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
            tasks = [asyncio.create_task(_up(receive, upstream)), asyncio.create_task(_down(upstream, send))]
            _, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _path(scope: Scope, target: Target) -> bytes:
    """The path as the client wrote it, without what the target strips, with its query. Raises Ambiguous."""
    raw: bytes = (scope.get("raw_path") or scope["path"].encode()).split(b"?")[0]
    beginning = target.path.rstrip("/").encode()
    # What was matched is the decoded path: %2F and the like would lead to another place there than here.
    if not raw.startswith(beginning + b"/") and raw != beginning:
        raise passing.Ambiguous(f"Write the beginning of its path as {target.path}, without percent signs.")
    if target.strips:
        raw = raw.removeprefix(beginning) or b"/"
    query: bytes = scope.get("query_string", b"")
    return raw + (b"?" + query if query else b"")


def _request_headers(scope: Scope, target: Target) -> list[tuple[bytes, bytes]]:
    own = [(name.lower().encode(), value.encode()) for name, value in target.headers.items()]
    host = [(b"host", target.host.encode())] if target.host else []
    return host + passing.to_target(scope["headers"], [name for name, _ in own]) + own


def _websocket_headers(scope: Scope, target: Target) -> list[tuple[str, str]]:
    """Those of a page's, without the handshake's, which is a new one."""
    kept = [(n, v) for n, v in _request_headers(scope, target) if n != b"host" and not n.startswith(b"sec-websocket-")]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("the client has gone away")
        if body := message.get("body"):
            yield body
        if not message.get("more_body"):
            return


async def _answer(answer: httpx.Response, send: Send, target: Target) -> None:
    headers = passing.from_target(answer.headers.raw, target.path)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for piece in answer.aiter_raw():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _up(receive: Receive, upstream: ClientConnection) -> None:
    while True:
        message: Message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1000
            await upstream.close(1000 if code in _UNSENDABLE_CODES else code)
            return
        text: str | None = message.get("text")
        await upstream.send(text if text is not None else message["bytes"])


async def _down(upstream: ClientConnection, send: Send) -> None:
    try:
        async for data in upstream:
            await send({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})
    finally:
        code = upstream.close_code
        if code is not None:
            code = 1011 if code in _UNSENDABLE_CODES else code
            await send({"type": "websocket.close", "code": code, "reason": upstream.close_reason or ""})
