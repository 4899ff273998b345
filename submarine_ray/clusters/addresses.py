"""The addresses of a cluster's endpoints and dashboard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx

from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.kinds import Means
from submarine_ray.clusters.serve_hosts import serve_hosts
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import NotFound
from submarine_ray.core.networks import Outgoing
from submarine_ray.spec.json_types import JsonObject

PROBE_SECONDS = 3.0


class Addresses:
    """`row` finds a registered cluster, or raises NotFound; so do the methods."""

    def __init__(self, means: Means, row: Callable[[str], ClusterRow]) -> None:
        self._means = means
        self._row = row

    def dashboard(self, name: str) -> Dashboard:
        """The cluster's Ray dashboard. Raises Unreachable."""
        row = self._row(name)
        return kinds.of(row).address(row, self._means).dashboard(self._means)

    def outgoing(self, name: str) -> Outgoing | None:
        """The check of addresses for connections to this cluster; None for the platform's own.

        What a cluster has said may outlive its registration: then it is checked as well.
        """
        with contextlib.suppress(NotFound):
            if self._is_here(name):
                return None
        return self._means.outgoing

    def serve_url(self, name: str, endpoint: str) -> str:
        """Where an endpoint of this cluster answers, as users reach it."""
        row = self._row(name)
        return kinds.of(row).serve_url(row, endpoint, self._means.settings)

    def serve_answers(self, name: str, endpoint: str, path: str) -> bool:
        """Whether Serve answers at `path`. Of other clusters than the local one it is assumed: this service may stand
        where their endpoints cannot be reached from.
        """
        if not self._is_here(name):
            return True
        try:
            url = f"{self.serve_url(name, endpoint)}{path}"
            return httpx.get(url, timeout=PROBE_SECONDS, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def serve_hosts(self, name: str, endpoint: str) -> list[str]:
        """The names that an endpoint answers to, beside addresses and what only its cluster's network knows."""
        return serve_hosts(self._means.settings.allowed_hosts, self.serve_url(name, endpoint))

    def serve_http_options(self, name: str) -> JsonObject:
        """Serve's HTTP options for this cluster; fixed at Serve's first start there."""
        return kinds.of(self._row(name)).serve_http_options(self._means.settings)

    def _is_here(self, name: str) -> bool:
        row = self._row(name)
        return kinds.of(row).capabilities(row).is_here
