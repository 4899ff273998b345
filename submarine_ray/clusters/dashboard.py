"""Clusters' Ray dashboards under /ray/{cluster}/, with the cluster's token added here: no browser ever sees it."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import NotFound
from submarine_ray.core.http import App, Receive, Scope, Send
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable

_PATH = re.compile(r"/ray/([A-Za-z0-9._-]{1,63})(/.*)?", re.DOTALL)
_READING = ("GET", "HEAD")


class DashboardMount:
    """ASGI middleware: /ray/{cluster}/ goes to the cluster's dashboard, everything else to the app.

    Only what reads passes: whoever may start and stop things does so through this service, which keeps the record.
    """

    def __init__(self, app: App, clusters: ClusterService, proxy: Proxy) -> None:
        self._app = app
        self._clusters = clusters
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope.get("path", "")) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        prefix = f"/ray/{found[1]}"
        if not found[2]:
            await RedirectResponse(f"{prefix}/")(scope, receive, send)
            return
        if scope["method"] not in _READING:
            refusal = "The dashboard is for looking here; experiments are started and stopped through this service."
            await error(HTTPStatus.METHOD_NOT_ALLOWED, refusal)(scope, receive, send)
            return
        try:
            dashboard = await asyncio.to_thread(self._clusters.dashboard, found[1])
            address = urlsplit(dashboard.url)
            if address.scheme != "http":
                raise Unreachable(f"its dashboard is at {address.scheme}; open {dashboard.url} itself")
            target = Target(address.netloc, prefix, dashboard.headers(), strips=True, outgoing=dashboard.outgoing)
            await self._proxy.forward(scope, receive, send, target)
        except NotFound as failure:
            await error(failure.status, str(failure))(scope, receive, send)
        except (Unreachable, TargetUnreachable) as failure:
            why = f"The dashboard of {found[1]!r} cannot be shown: {failure}."
            await error(HTTPStatus.SERVICE_UNAVAILABLE, why)(scope, receive, send)
