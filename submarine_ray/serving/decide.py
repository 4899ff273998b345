"""The pure heart of serving: rows in, Serve's declarative configuration out; Serve's status in, endpoint states out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from submarine_ray.spec.serving import EndpointStatus

IMPORT_PATH = "serve_apps.mlflow_model:build"


@dataclass(frozen=True)
class Desired:
    """An endpoint that shall be there."""

    name: str
    model_name: str
    model_version: int
    model_uri: str
    replicas: int
    cpu: float
    gpu: float


def route(model_name: str, model_version: int) -> str:
    """The path prefix of an endpoint."""
    return f"/{model_name}/{model_version}"


def application(endpoint: Desired, tracking_uri: str) -> dict[str, Any]:
    """One application in the form of Ray Serve's REST API."""
    deployment = {
        "name": "model",
        "num_replicas": endpoint.replicas,
        "ray_actor_options": {"num_cpus": endpoint.cpu, "num_gpus": endpoint.gpu},
        "max_ongoing_requests": 256,
        # The new replica first, then the old one away: no gap in a rolling update.
        "max_surge_percent": 100,
    }
    return {
        "name": endpoint.name,
        "route_prefix": route(endpoint.model_name, endpoint.model_version),
        "import_path": IMPORT_PATH,
        "args": {
            "model_uri": endpoint.model_uri,
            "model_name": endpoint.model_name,
            "model_version": str(endpoint.model_version),
            "tracking_uri": tracking_uri,
        },
        # A line a request would cost throughput, and hide the lines that matter; figures.py has the numbers.
        "logging_config": {"enable_access_log": False},
        "deployments": [deployment],
    }


def configuration(endpoints: Iterable[Desired], tracking_uri: str, http_options: dict[str, Any]) -> dict[str, Any]:
    """All of a cluster's applications: Serve's PUT replaces everything."""
    return {
        "proxy_location": "HeadOnly",
        "http_options": http_options,
        "applications": [application(endpoint, tracking_uri) for endpoint in endpoints],
    }


_STATES = {
    "RUNNING": EndpointStatus.RUNNING,
    "DEPLOY_FAILED": EndpointStatus.FAILED,
    "UNHEALTHY": EndpointStatus.FAILED,
}


def observed(name: str, serve: dict[str, Any]) -> tuple[str, str | None]:
    """An endpoint's status and message, from Serve's status document."""
    found = serve.get("applications", {}).get(name)
    if found is None:
        return EndpointStatus.CREATING, None
    status = _STATES.get(found.get("status", ""), EndpointStatus.CREATING)
    messages = [found.get("message", "")] + [d.get("message", "") for d in found.get("deployments", {}).values()]
    return status, next((m[-2000:] for m in messages if m), None) if status != EndpointStatus.RUNNING else None


def gone(name: str, serve: dict[str, Any]) -> bool:
    return name not in serve.get("applications", {})
