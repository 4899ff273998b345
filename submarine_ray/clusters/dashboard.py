"""Clusters' Ray dashboards under /ray/{cluster}/, with the cluster's token added here: no browser ever sees it."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.content.kinds import Visit, refused
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import NotFound
from submarine_ray.core.http import Receive, Scope, Send
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable

_PATH = re.compile(r"/ray/([A-Za-z0-9._-]{1,63})(/.*)?", re.DOTALL)
_READING = ("GET", "HEAD")


class DashboardContent:
    """/ray/{cluster}/ is the cluster's dashboard.

    Only what reads passes: whoever may start and stop things does so through this service, which keeps the record.
    """

    sandboxed = False

    def __init__(self, clusters: ClusterService, proxy: Proxy) -> None:
        self._clusters = clusters
        self._proxy = proxy

    def find(self, path: str) -> str | None:
        found = _PATH.fullmatch(path)
        return f"/ray/{found[1]}" if found else None

    async def arrive(self, scope: Scope) -> Response | None:
        """That there is no such cluster."""
        try:
            await asyncio.to_thread(self._clusters.get, _name(scope))
        except NotFound as failure:
            return refused(scope, failure.status, str(failure))
        return None

    async def serve(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        """See content.kinds.ContentKind."""
        name, own = _name(scope), self.find(scope["path"]) or ""
        if scope["path"] == own:
            await RedirectResponse(f"{own}/")(scope, receive, send)
            return
        if scope.get("method") not in _READING:
            refusal = "The dashboard is read-only here: start and stop experiments through this service."
            await error(HTTPStatus.METHOD_NOT_ALLOWED, refusal)(scope, receive, send)
            return
        try:
            dashboard = await asyncio.to_thread(self._clusters.addresses.dashboard, name)
            address = urlsplit(dashboard.url)
            if address.scheme != "http":
                raise Unreachable(f"its dashboard is at {address.scheme}; open {dashboard.url} itself")
            target = Target(address.netloc, own, dashboard.headers(), strips=True, outgoing=dashboard.outgoing)
            await self._proxy.forward(scope, receive, send, target)
        except NotFound as failure:
            await refused(scope, failure.status, str(failure), visit.main)(scope, receive, send)
        except (Unreachable, TargetUnreachable) as failure:
            why = f"The dashboard of {name!r} cannot be shown: {failure}."
            await refused(scope, HTTPStatus.SERVICE_UNAVAILABLE, why, visit.main)(scope, receive, send)


def _name(scope: Scope) -> str:
    found = _PATH.fullmatch(scope["path"])
    return found[1] if found else ""
