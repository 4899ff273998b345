"""`EnvironmentClient`: Submarine's methods for stored environments."""

from __future__ import annotations

from multiprocessing.pool import AsyncResult
from typing import Any
from urllib.parse import quote

from submarine_ray.client.http import PATIENCE_SECONDS, Service, later

_BASE = "/api/v1/environment"


class EnvironmentClient:
    """Creates and manages environments.

    Args:
        host: the control service's URL; default `SUBMARINE_URL`, else this machine's.
        token: its bearer token, if it asks for one; default `SUBMARINE_TOKEN`.

    All methods raise ApiError (refused) or ServiceUnreachable. Source: Submarine's "Environment REST API".
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_environment(self, environment_spec: dict[str, Any]) -> dict[str, Any]:
        """Create an environment from its spec."""
        return dict(self.service.call("POST", _BASE, json=environment_spec))

    def create_environment_async(self, environment_spec: dict[str, Any]) -> AsyncResult[dict[str, Any]]:
        """The same without waiting: `.get()` has the answer, or raises its error."""
        return later(self.create_environment, environment_spec)

    def update_environment(self, name: str, environment_spec: dict[str, Any]) -> dict[str, Any]:
        """Change what the spec names; the rest stays."""
        return dict(self.service.call("PATCH", f"{_BASE}/{quote(name, safe='')}", json=environment_spec))

    def get_environment(self, name: str) -> dict[str, Any]:
        """Return an environment."""
        return dict(self.service.call("GET", f"{_BASE}/{quote(name, safe='')}"))

    def get_environment_async(self, name: str) -> AsyncResult[dict[str, Any]]:
        """The same as `get_environment` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.get_environment, name)

    def list_environments(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return all environments. `status` is accepted for Submarine's sake and ignored."""
        return list(self.service.call("GET", _BASE))

    def list_environments_async(self, status: str | None = None) -> AsyncResult[list[dict[str, Any]]]:
        """The same as `list_environments` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.list_environments, status)

    def delete_environment(self, name: str) -> dict[str, Any]:
        """Delete an environment. Running experiments and notebooks keep their copy."""
        return dict(self.service.call("DELETE", f"{_BASE}/{quote(name, safe='')}"))

    def delete_environment_async(self, name: str) -> AsyncResult[dict[str, Any]]:
        """The same as `delete_environment` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.delete_environment, name)
