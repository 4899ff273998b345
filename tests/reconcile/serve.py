"""Ray Serve's REST API of one cluster, in memory: what is put is there at once, or when a test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.spec.quantities import Resources


class FakeServe:
    """Serve as GET and PUT /api/serve/applications/ show it (Ray 2.60, `serve_head.py`): a PUT replaces all."""

    def __init__(self) -> None:
        self.applications: dict[str, dict[str, Any]] = {}
        self.imperative: list[str] = []
        self.puts: list[list[str]] = []
        self.before_put: Callable[[], None] = lambda: None
        self.before_look: Callable[[], None] = lambda: None
        self.refusal: str | None = None
        self.is_away = False
        self.is_late = False
        self.overwritten = 0

    def names(self) -> list[str]:
        """What is declared there, without the fence."""
        return sorted(name for name in self.applications if name != "submarine:fence")

    def number(self) -> int:
        """The number of the generation that is there."""
        (deployment,) = self.applications["submarine:fence"]["deployments"]
        return int(deployment["user_config"]["number"])

    def seen(self) -> int:
        """The number of the generation that is there; 0: none."""
        return self.number() if "submarine:fence" in self.applications else 0

    def put(self, config: dict[str, Any]) -> None:
        before = self.seen()
        self.applications = {one["name"]: one for one in config["applications"]}
        self.puts.append(self.names())
        self.overwritten += self.seen() < before and not self.is_late
        self.is_late = False

    def replicas(self, name: str) -> int:
        return int(self.applications[name]["deployments"][0]["num_replicas"])

    def driver(self) -> RayJobs:
        made = RayJobs(Dashboard("http://ray"), None, 5.0)  # type: ignore[arg-type]
        made.capacity = lambda: CAPACITY  # type: ignore[method-assign]
        made._http = httpx.Client(base_url="http://ray", transport=httpx.MockTransport(self._answer))
        return made

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("nobody is there")
        if request.method == "GET":
            self.before_look()
            return httpx.Response(200, json={"applications": self._shown()})
        self.before_put()
        if self.refusal:
            return httpx.Response(400, text=self.refusal)
        self.put(json.loads(request.content))
        return httpx.Response(200)

    def _shown(self) -> dict[str, Any]:
        declared = {
            name: {"status": "RUNNING", "message": "", "deployed_app_config": one, "deployments": {}}
            for name, one in self.applications.items()
        }
        return declared | {name: {"status": "RUNNING", "deployed_app_config": None} for name in self.imperative}


CAPACITY = Capacity("head-1", Resources(8, 2**34, 0), Resources(8, 2**34, 0), frozenset({"node"}))
