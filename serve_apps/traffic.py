"""A Ray Serve application that shares a model's requests out to its versions by weight, each its own application."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve import metrics
from starlette.requests import Request
from starlette.responses import Response

from serve_apps import hosts, loopback

VERSION_HEADER = "x-model-version"
# Serve counts what passes the shared URL, but not which version answered it, nor that version's errors.
LATENCY = "submarine_traffic_latency_ms"
# Those of Serve's own latency metric, so that a version's counts by both ways can be added up.
BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 1000, 2000, 5000, 10000, 60000, 120000, 300000, 600000]


@serve.deployment(name="traffic")
class TrafficDeployment:
    """Holds no model: it hands each request to a version, by Serve's own handles."""

    def __init__(self, allowed_hosts: Sequence[str] = ()) -> None:
        loopback.stay_there()
        self._hosts = frozenset(allowed_hosts)
        self._handles: dict[str, Any] = {}
        self._versions: list[str] = []
        self._weights: list[int] = []
        self._labels: dict[str, dict[str, str]] = {}
        self._latency = metrics.Histogram(
            LATENCY,
            description="The latency of the requests that a version got through the shared URL.",
            boundaries=BUCKETS_MS,
            tag_keys=("version", "endpoint", "weights", "status_code"),
        )

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve calls it with `user_config`: `routes`, each a version, its application and its weight; and `weights`,
        a name for all weights together, under which requests are counted.
        """
        routes = [route for route in config["routes"] if route["weight"] > 0]
        self._labels = {
            route["version"]: {
                "version": route["version"], "endpoint": route["application"], "weights": config["weights"],
            }
            for route in routes
        }  # fmt: skip
        self._versions = [route["version"] for route in routes]
        self._weights = [route["weight"] for route in routes]
        self._handles = {
            route["version"]: self._handles.get(route["version"]) or serve.get_app_handle(route["application"])
            for route in routes
        }

    async def __call__(self, request: Request) -> Response:
        if not hosts.is_served(host := request.headers.get("host"), self._hosts):
            return Response(hosts.refusal(host), hosts.STATUS, media_type="application/json")
        (version,) = random.choices(self._versions, self._weights)  # noqa: S311 (a share, no secret)
        labels = self._labels[version]
        path = request.url.path.removeprefix(request.scope.get("root_path", "")).rstrip("/")
        begun = time.monotonic()
        asked = (request.method, path, request.headers.get("content-type", ""), await request.body())
        status = 500  # if the answer is an exception
        try:
            status, content = await self._handles[version].answer.remote(*asked)
        except RayActorError:
            status, content = 503, b'{"error":"the replica that was asked has ended; another is being started"}'
        finally:
            if request.method == "POST":  # no probes
                self._count(labels, status, time.monotonic() - begun)
        return Response(content, status, {VERSION_HEADER: version}, media_type="application/json")

    def _count(self, labels: Mapping[str, str], status: int, seconds: float) -> None:
        self._latency.observe(seconds * 1000, tags={**labels, "status_code": str(status)})


def build(args: dict[str, Any]) -> Any:
    """The application that the control service's configuration asks for."""
    deployment: Any = TrafficDeployment
    return deployment.bind(args.get("allowed_hosts", ()))
