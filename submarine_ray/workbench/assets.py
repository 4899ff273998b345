"""Scripts and styles, which never change while the service runs: compressed once, and asked for early."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from http import HTTPStatus

from nicegui import __version__, dependencies, ui

from submarine_ray.core.http import App, Message, Receive, Scope, Send

PREFIX = f"/_nicegui/{__version__}/"  # NiceGUI lets browsers keep what is below it for a year
MAX_KEPT = 32 * 2**20
_CHARTS = "nicegui-echart"

Messages = list[Message]


class Kept:
    """Answers for an asset from memory: compressing it anew for each browser costs up to a tenth of a second."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[tuple[str, bool], Messages] = {}
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        is_asset = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(PREFIX)
        if not is_asset or b"range" in headers or b"if-none-match" in headers or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        key = (scope["path"], b"gzip" in headers.get(b"accept-encoding", b""))
        messages = self._kept.get(key) or await self._ask(key, scope)
        for message in messages:
            await send(dict(message))

    async def _ask(self, key: tuple[str, bool], scope: Scope) -> Messages:
        """The whole answer. Who asks first may leave before its end, and what is left then would be everybody's."""
        messages: Messages = []
        is_read = False

        async def nobody_leaves() -> Message:
            nonlocal is_read
            if is_read:
                await asyncio.Event().wait()
            is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, nobody_leaves, keep)
        size = sum(len(message.get("body", b"")) for message in messages)
        is_good = messages[0]["status"] == HTTPStatus.OK and not messages[-1].get("more_body")
        if is_good and key not in self._kept and self._size + size <= MAX_KEPT:
            self._kept[key] = messages
            self._size += size
        return messages


@cache
def chart_preloads() -> str:
    """Links that fetch the charts' library beside the page's other scripts, not only once these have run."""
    key, module = next((key, one) for key, one in dependencies.esm_modules.items() if one.name == _CHARTS)
    first = (module.path / "index.js").read_text()
    names = ["index.js", *re.findall(r'from\s*"\./([\w.-]+\.js)"', first)]
    paths = [f"{PREFIX}esm/{key}/{name}" for name in names] + [f"{PREFIX}static/dompurify.mjs"]
    return "".join(f'<link rel="modulepreload" href="{path}">' for path in paths)


def add_panels(version: str) -> None:
    """Load what boards of panels and reports need: no other page pays for it."""
    path = "/workbench-static/panels"
    ui.add_head_html(f'<link rel="stylesheet" href="{path}.css?{version}"><script src="{path}.js?{version}"></script>')
