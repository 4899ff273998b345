"""A Ray Serve application that shares a model's requests out to its versions by weight, each its own application."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from starlette.requests import Request
from starlette.responses import Response

from serve_apps import hosts, loopback

VERSION_HEADER = "x-model-version"


@serve.deployment(name="traffic")
class TrafficDeployment:
    """Holds no model: it hands each request to a version, by Serve's own handles."""

    def __init__(self, allowed_hosts: Sequence[str] = ()) -> None:
        loopback.stay_there()
        self._hosts = frozenset(allowed_hosts)
        self._handles: dict[str, Any] = {}
        self._versions: list[str] = []
        self._weights: list[int] = []

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve calls it with `user_config`: `routes`, each a version, its application and its weight."""
        routes = [route for route in config["routes"] if route["weight"] > 0]
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
        path = request.url.path.removeprefix(request.scope.get("root_path", "")).rstrip("/")
        asked = (request.method, path, request.headers.get("content-type", ""), await request.body())
        try:
            status, content = await self._handles[version].answer.remote(*asked)
        except RayActorError:
            status, content = 503, b'{"error":"the replica that was asked has ended; another is being started"}'
        return Response(content, status, {VERSION_HEADER: version}, media_type="application/json")


def build(args: dict[str, Any]) -> Any:
    """The application that the control service's configuration asks for."""
    deployment: Any = TrafficDeployment
    return deployment.bind(args.get("allowed_hosts", ()))
