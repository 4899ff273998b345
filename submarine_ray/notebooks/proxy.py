"""/notebook/{namespace}/{name}/... is the JupyterLab of that notebook.

It is reached through here alone. Programs that the service knows get Jupyter's token added. A browser gets it for a
page that is opened: Jupyter answers with a cookie of its own, and looks at what the page sends then by itself, with its
checks of the origin and against forged requests (XSRF), which it leaves out where a token comes along.
"""

from __future__ import annotations

import asyncio
import html
import re
from http import HTTPStatus

from starlette.responses import RedirectResponse, Response

from submarine_ray.content.kinds import Visit, refused
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.http import Receive, Scope, Send, is_navigation
from submarine_ray.core.pages import plain
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable
from submarine_ray.notebooks.service import NotebookAddress, NotebookService
from submarine_ray.spec.notebooks import NotebookStatus as Status
from submarine_ray.spec.notebooks import path as path_of

_PATH = re.compile(r"/notebook/(?P<namespace>[^/]{1,200})/(?P<name>[^/]{1,200})(?P<rest>/.*)?", re.DOTALL)


class NotebookContent:
    """Forwards to the notebooks that run; says what becomes of the others, and starts those that are stopped."""

    sandboxed = False

    def __init__(self, notebooks: NotebookService, proxy: Proxy) -> None:
        self._notebooks = notebooks
        self._proxy = proxy

    def find(self, path: str) -> str | None:
        found = _PATH.fullmatch(path)
        return path_of(found["namespace"], found["name"]) if found else None

    async def arrive(self, scope: Scope) -> Response | None:
        """The page of a notebook that does not run. Opening one that is stopped starts it: the gate asks before it
        lets a link of another site do so.
        """
        try:
            found = await self._address(scope["path"])
            if found.address:
                return None
            if found.status == Status.STOPPED:
                await asyncio.to_thread(self._notebooks.start, found.id)
            return _page(found, found.reason, seconds=30 if found.status == Status.FAILED else 1)
        except SubmarineError as failure:
            return refused(scope, failure.status, str(failure))

    async def serve(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        """See content.kinds.ContentKind."""
        own = self.find(scope["path"]) or ""
        if scope["path"].rstrip("/") == own and scope["type"] == "http":
            await RedirectResponse(f"{own}/lab")(scope, receive, send)
            return
        try:
            found = await self._address(scope["path"])
            if found.address:
                await self._proxy.forward(
                    _without_token(scope, visit), receive, send, _target(scope, found, own, visit)
                )
                return
            answer = _unready(scope, found, found.reason, visit)
        except SubmarineError as failure:
            answer = refused(scope, failure.status, str(failure), visit.main)
        except TargetUnreachable as failure:
            self._notebooks.forget_addresses()
            answer = _unready(scope, found, f"It does not answer at the moment ({failure})", visit)
        await answer(scope, receive, send)

    async def _address(self, path: str) -> NotebookAddress:
        _, _, namespace, name, *_ = path.split("/")  # as `find` has matched it
        return await asyncio.to_thread(self._notebooks.address, namespace, name)


def _target(scope: Scope, found: NotebookAddress, own: str, visit: Visit) -> Target:
    token = {"Authorization": f"token {found.token}"} if visit.origin is None or is_navigation(scope) else {}
    # Jupyter compares Origin and Referer with the Host it sees, and makes its cookies secure where pages are.
    seen = {"X-Forwarded-Proto": visit.scheme} if visit.origin else {}
    return Target(found.address or "", own, {**token, **seen}, host=visit.host, outgoing=found.outgoing)


def _without_token(scope: Scope, visit: Visit) -> Scope:
    """JupyterLab puts the token that it knows of into addresses; Jupyter would then look at nothing else."""
    if visit.origin is None:
        return scope
    parts = [part for part in scope["query_string"].split(b"&") if not part.startswith(b"token=")]
    return {**scope, "query_string": b"&".join(parts)}


def _unready(scope: Scope, found: NotebookAddress, reason: str, visit: Visit) -> Response:
    """Where it can be started, for people; the envelope for programs."""
    if not is_navigation(scope):
        return error(HTTPStatus.SERVICE_UNAVAILABLE, f"The notebook {found.name!r} is {found.status}: {reason}.")
    if visit.origin is None or visit.origin == visit.main or found.address:
        return _page(found, reason, seconds=1)
    return RedirectResponse(f"{visit.main}{scope['path']}", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})


def _page(found: NotebookAddress, reason: str, seconds: int) -> Response:
    """A page that looks again by itself after so many seconds."""
    page = plain(
        f"Notebook {found.name} is {found.status}",
        f"<p>{html.escape(reason.rstrip('.'))}.</p>",
        HTTPStatus.SERVICE_UNAVAILABLE,
        head=f'<meta http-equiv="refresh" content="{seconds}">',
    )
    page.headers["Cache-Control"] = "no-store"
    return page
