"""A Ray Serve application that hosts one MLflow model.

Speaks MLflow's scoring protocol (`POST .../invocations`) and the Open Inference Protocol v2 (`/v2/models/{name}/infer`,
`/v2/health/ready`). Bad input is a 400 that names the expected signature; a model that fails is a 500.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from serve_apps import hosts, loopback
from serve_apps.devices import see_own_gpus
from serve_apps.errors import CannotServe
from serve_apps.model import load
from serve_apps.server import ModelServer

log = logging.getLogger("ray.serve")


@serve.deployment(name="model")
class ModelDeployment:
    """One replica: holds the model."""

    def __init__(
        self,
        model_uri: str,
        model_name: str,
        model_version: str,
        tracking_uri: str,
        tracking_token: str | None,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        loopback.stay_there()
        self._hosts = frozenset(allowed_hosts)
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
        if tracking_token:  # on Kubernetes it is in the pod's environment, from a Secret
            os.environ["MLFLOW_TRACKING_TOKEN"] = tracking_token
        # What computes in Python gives the event loop a turn after half a millisecond, not after five.
        sys.setswitchinterval(0.0005)
        see_own_gpus()
        begun = time.monotonic()
        model = load(model_uri)
        self._server = ModelServer(model, model_name, model_version)
        self._server.check_example()
        took = time.monotonic() - begun
        log.info("Loaded %s version %s (%s) in %.1f s", model_name, model_version, model.kind, took)

    async def __call__(self, request: Request) -> Response:
        if not hosts.is_served(host := request.headers.get("host"), self._hosts):
            return Response(hosts.refusal(host), hosts.STATUS, media_type="application/json")
        path = request.url.path.removeprefix(request.scope.get("root_path", "")).rstrip("/")
        kind = request.headers.get("content-type", "")
        status, content = await self._server.answer(request.method, path, kind, await request.body())
        return Response(content, status, media_type="application/json")

    async def answer(self, method: str, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Status and content for a request; `traffic.py` calls it."""
        return await self._server.answer(method, path, content_type, body)

    def check_health(self) -> None:
        """Serve calls it, and replaces the replica that raises."""
        if self._server.broken:
            raise CannotServe(self._server.broken)


def build(args: dict[str, Any]) -> Any:
    """The application that the control service's configuration asks for."""
    deployment: Any = ModelDeployment
    named = (args[name] for name in ("model_uri", "model_name", "model_version", "tracking_uri"))
    return deployment.bind(*named, args.get("tracking_token"), args.get("allowed_hosts", ()))
