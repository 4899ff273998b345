"""Assets are kept whole, whoever asked for them first."""

from __future__ import annotations

import gzip
from collections.abc import MutableMapping
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from submarine_ray.core.http import App, Scope
from submarine_ray.workbench.assets import PREFIX, Kept
from tests.conftest import run

PIECES = [bytes([number]) * 100_000 for number in range(8)]


async def _streams(scope: Scope, receive: Any, send: Any) -> None:
    async def pieces() -> Any:
        for piece in PIECES:
            yield piece

    await StreamingResponse(pieces())(scope, receive, send)


async def _marked(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


def _asked(app: App, leaves_after: int | None = None) -> bytes:
    """What a client gets that leaves after some messages, as a browser does that goes on to another page."""
    got: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if leaves_after is None and not got:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        got.append(message)
        if leaves_after is not None and len(got) > leaves_after:
            raise OSError("the client has left")

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET", "path": f"{PREFIX}big.js",
        "raw_path": b"", "query_string": b"", "headers": [(b"accept-encoding", b"gzip")], "extensions": {},
        "http_version": "1.1", "scheme": "http", "server": ("here", 80), "client": None, "root_path": "",
    }  # fmt: skip

    async def ask() -> None:
        try:
            await app(scope, receive, send)
        except OSError:
            assert leaves_after is not None

    run(ask())
    return b"".join(message.get("body", b"") for message in got)


def test_who_leaves_early_leaves_a_whole_asset_to_the_next() -> None:
    app = Kept(BaseHTTPMiddleware(GZipMiddleware(_streams), _marked))
    _asked(app, leaves_after=1)
    assert gzip.decompress(_asked(app)) == b"".join(PIECES)
    assert gzip.decompress(_asked(app)) == b"".join(PIECES)


def test_an_answer_without_an_end_is_not_kept() -> None:
    asked = []

    async def breaks(scope: Scope, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": len(asked) == 1})

    app = Kept(breaks)
    assert [_asked(app), _asked(app), _asked(app)] == [b"half"] * 3
    assert len(asked) == 2
