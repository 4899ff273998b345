"""httpx and websockets as the service uses them towards others: no cookies kept, no redirects, checked addresses."""

from __future__ import annotations

import functools
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from websockets.asyncio.client import connect

from submarine_ray.core.networks import AddressRefused, Outgoing

LONGEST_ANSWER = 64 * 2**20
_OF_THE_WAY = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def fetched(client: httpx.Client, method: str, url: str, **options: Any) -> httpx.Response:
    """The answer to a request as `client.request` gives it, of LONGEST_ANSWER at most: others write it.

    Raises httpx.HTTPError.
    """
    with client.stream(method, url, **options) as answer:
        content = bytearray()
        for piece in answer.iter_bytes():
            _add(content, piece, answer)
    return _whole(answer, content)


async def fetched_async(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    """The same for asyncio."""
    async with client.stream(method, url, **options) as answer:
        content = bytearray()
        async for piece in answer.aiter_bytes():
            _add(content, piece, answer)
    return _whole(answer, content)


def _add(content: bytearray, piece: bytes, answer: httpx.Response) -> None:
    content += piece
    if len(content) > LONGEST_ANSWER:
        raise httpx.ReadError(f"its answer is longer than {LONGEST_ANSWER} bytes", request=answer.request)


def _whole(answer: httpx.Response, content: bytearray) -> httpx.Response:
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in _OF_THE_WAY]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(content), request=answer.request)


def no_cookies() -> CookieJar:
    """A jar that stays empty: what one user's request brought must not travel with another's."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificates that this process trusts. Reading them takes 20 ms of CPU and more: it is done once."""
    return httpx.create_ssl_context()


class CheckedTransport(httpx.HTTPTransport):
    """Connects to addresses that `outgoing` has checked; to any without it. Raises httpx.ConnectError for others.

    `tls`: what is trusted instead of the process's own certificates.
    """

    def __init__(self, outgoing: Outgoing | None, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__(verify=tls or trusted(), **options)
        self._outgoing = outgoing

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._outgoing is None:
            return super().handle_request(request)
        addresses = _resolved(request, self._outgoing)
        for address in addresses[:-1]:
            try:
                return super().handle_request(_sent_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing has been sent: the next may answer
                continue
        return super().handle_request(_sent_to(addresses[-1], request))


class CheckedAsyncTransport(httpx.AsyncHTTPTransport):
    """The same for asyncio; `outgoing` comes with each request, as its extension of this name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(verify=trusted(), **options)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        outgoing: Outgoing | None = request.extensions.pop("outgoing", None)
        if outgoing is None:
            return await super().handle_async_request(request)
        try:
            addresses = await outgoing.resolve_async(request.url.host, request.url.port or 0)
        except (AddressRefused, OSError) as failure:
            raise httpx.ConnectError(str(failure), request=request) from failure
        for address in addresses[:-1]:
            try:
                return await super().handle_async_request(_sent_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await super().handle_async_request(_sent_to(addresses[-1], request))


class WebSocket(connect):
    """websockets.connect that follows no redirects: they would carry a token to wherever the other side says."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def websocket_target(url: str, outgoing: Outgoing | None) -> dict[str, Any]:
    """The options that lead a `WebSocket` to the address in `url`, a checked one with `outgoing`. Raises OSError."""
    parts = httpx.URL(url)
    port = parts.port or (443 if parts.scheme in ("wss", "https") else 80)
    if outgoing is None:
        return {"host": parts.host, "port": port}
    try:
        return {"host": (await outgoing.resolve_async(parts.host, port))[0], "port": port}
    except AddressRefused as failure:
        raise OSError(str(failure)) from failure


def _resolved(request: httpx.Request, outgoing: Outgoing) -> list[str]:
    try:
        return outgoing.resolve(request.url.host, request.url.port or 0)
    except (AddressRefused, OSError) as failure:
        raise httpx.ConnectError(str(failure), request=request) from failure


def _sent_to(address: str, request: httpx.Request) -> httpx.Request:
    """The request with the address in its URL; its Host header and TLS keep the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )
