"""A reverse proxy for pages that others serve: HTTP and WebSocket, streamed both ways, none of it kept.

The proxies on offer for ASGI are dormant (docs/decisions/0008-own-reverse-proxy.md); the protocols are httpx's and
websockets' here too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
import websockets
from websockets.asyncio.client import ClientConnection

from submarine_ray.core.cookies import SESSION_COOKIES
from submarine_ray.core.http import Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

TIMEOUT = httpx.Timeout(300, connect=5)
OPEN_SECONDS = 10
# Of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade",
     b"transfer-encoding")
)  # fmt: skip
_UNSENDABLE_CODES = (1005, 1006, 1015)  # RFC 6455, section 7.4.1: never in a close frame


class TargetUnreachable(Exception):
    """The target does not answer; nothing has been sent to the client yet."""


@dataclass(frozen=True)
class Target:
    """Where to forward to: `address` is host:port; `headers` replace the client's of the same names.

    `prefix` is the beginning of the path that the target does not know.
    """

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""


class Proxy:
    """Forwards requests, under the path that they came with unless the target strips its beginning."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=50)
        )

    async def forward(self, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
        """Raises TargetUnreachable."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send, target)
        else:
            await self._request(scope, receive, send, target)

    async def close(self) -> None:
        await self._http.aclose()

    async def _request(self, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
        given = _request_headers(scope, target)
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = self._http.build_request(
            scope["method"],
            httpx.URL(f"http://{target.address}").copy_with(raw_path=_path(scope, target)),
            headers=given,
            content=_body(receive) if has_body else None,
        )
        try:
            answer = await self._http.send(request, stream=True)
        except (httpx.TransportError, OSError) as failure:
            raise TargetUnreachable(str(failure) or type(failure).__name__) from failure
        try:
            # A client that goes away must not leave an endless answer running.
            answering = asyncio.create_task(_answer(answer, send))
            leaving = asyncio.create_task(_disconnected(receive))
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, leaving):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.TransportError):
                await answering
        finally:
            await answer.aclose()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
        await receive()  # websocket.connect
        try:
            upstream = await websockets.connect(
                f"ws://{target.address}{_path(scope, target).decode('latin-1')}",
                subprotocols=scope.get("subprotocols") or None,
                additional_headers=dict(target.headers),
                compression=None,
                max_size=None,
                open_timeout=OPEN_SECONDS,
                proxy=None,
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
    """The path as the client wrote it, without the target's prefix, with its query."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return raw.split(b"?")[0].removeprefix(target.prefix.encode()) + (b"?" + query if query else b"")


def _request_headers(scope: Scope, target: Target) -> list[tuple[bytes, bytes]]:
    replaced = {name.lower().encode() for name in target.headers} | {b"host", b"authorization"} | _HOP_BY_HOP
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in replaced | {b"cookie"}]
    cookies = [_without_session(value) for name, value in scope["headers"] if name.lower() == b"cookie"]
    own = [(name.encode(), value.encode()) for name, value in target.headers.items()]
    return kept + [(b"cookie", value) for value in cookies if value] + own


def _without_session(cookies: bytes) -> bytes:
    """What a browser sends, less what opens this service: others' pages must not see that."""
    own = tuple(f"{name}=".encode() for name in SESSION_COOKIES)
    return b"; ".join(part for part in (c.strip() for c in cookies.split(b";")) if not part.startswith(own))


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("the client has gone away")
        if body := message.get("body"):
            yield body
        if not message.get("more_body"):
            return


async def _answer(answer: httpx.Response, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
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
        text: Any = message.get("text")
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
