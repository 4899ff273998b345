"""ASGI middleware: /notebook/{namespace}/{name}/... is the JupyterLab of that notebook.

It is reached through here alone: the service asks who comes, and adds the token that opens JupyterLab.
"""

from __future__ import annotations

import asyncio
import html
import re
from http import HTTPStatus

from starlette.responses import HTMLResponse, RedirectResponse, Response

from submarine_ray.core.envelope import error
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.http import App, Receive, Scope, Send, is_navigation
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable
from submarine_ray.notebooks.service import NotebookService, Place
from submarine_ray.spec.notebooks import NotebookStatus as Status

_PATH = re.compile(r"/notebook/(?P<namespace>[^/]+)/(?P<name>[^/]+)(?P<rest>/.*)?")
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta http-equiv="refresh" content="{seconds}"><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;
max-width:36rem;padding:0 1rem;color:#1f2937}}h1{{font-size:1.4rem}}p{{color:#4b5563}}</style></head>
<body><h1>Notebook {name} is {status}</h1><p>{reason}.</p></body></html>"""


class NotebookMount:
    """Forwards to the notebooks that run; says what becomes of the others, and starts those that are stopped."""

    def __init__(self, app: App, notebooks: NotebookService, proxy: Proxy) -> None:
        self._app = app
        self._notebooks = notebooks
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope.get("path", "")) if scope["type"] in ("http", "websocket") else None
        if found is None:
            await self._app(scope, receive, send)
            return
        if found["rest"] in (None, "/") and scope["type"] == "http":
            answer: Response = RedirectResponse(f"/notebook/{found['namespace']}/{found['name']}/lab")
            await answer(scope, receive, send)
            return
        try:
            place = await asyncio.to_thread(self._notebooks.place, found["namespace"], found["name"])
            if place.address:
                prefix = f"/notebook/{found['namespace']}/{found['name']}"
                target = Target(place.address, prefix, {"Authorization": f"token {place.token}"})
                await self._proxy.forward(scope, receive, send, target)
                return
            if place.status == Status.STOPPED and is_navigation(scope):
                await asyncio.to_thread(self._notebooks.start, place.id)
            answer = _unready(scope, place, place.reason)
        except SubmarineError as failure:
            answer = error(failure.status, str(failure))
        except TargetUnreachable as failure:
            self._notebooks.forget_places()
            answer = _unready(scope, place, f"It does not answer at the moment ({failure})")
        await answer(scope, receive, send)


def _unready(scope: Scope, place: Place, reason: str) -> Response:
    """A page that looks again by itself, for people; the envelope for programs."""
    if not is_navigation(scope):
        return error(HTTPStatus.SERVICE_UNAVAILABLE, f"The notebook {place.name!r} is {place.status}: {reason}.")
    page = _PAGE.format(
        name=html.escape(place.name),
        status=html.escape(place.status),
        reason=html.escape(reason.rstrip(".")),
        seconds=30 if place.status == Status.FAILED else 1,
    )
    return HTMLResponse(page, HTTPStatus.SERVICE_UNAVAILABLE, {"Cache-Control": "no-store"})
