"""httpx and websockets as the service uses them towards others: no cookies kept, no redirects, checked addresses."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from websockets.asyncio.client import connect

from submarine_ray.core.networks import AddressRefused, Outgoing


def no_cookies() -> CookieJar:
    """A jar that stays empty: what one user's request brought must not travel with another's."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class CheckedTransport(httpx.HTTPTransport):
    """Connects to addresses that `outgoing` has checked; to any without it. Raises httpx.ConnectError for others."""

    def __init__(self, outgoing: Outgoing | None, **options: Any) -> None:
        super().__init__(**options)
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
