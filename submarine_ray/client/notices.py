"""`NoticeClient`: what the service has to tell you."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from submarine_ray.client.http import PATIENCE_SECONDS, Service

_BASE = "/api/v1/notice"


class NoticeClient:
    """Lists your notices; arguments and errors as of EnvironmentClient."""

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def list_notices(self, limit: int = 30, before: int | None = None) -> list[dict[str, Any]]:
        """Return your notices, newest first: at most `limit`, and only those before the notice with the id `before`."""
        asked = {"limit": limit} | ({"before": before} if before is not None else {})
        return list(self.service.call("GET", _BASE, params=asked))

    def mark_read(self, id: int | None = None) -> None:
        """Mark one of your notices as read, or all of them."""
        self.service.call("POST", f"{_BASE}/read" if id is None else f"{_BASE}/{id}/read")

    def kinds(self) -> list[str]:
        """Return the kinds that you are told of: `experiment`, `notebook`, `endpoint`, `shared`."""
        return list(self.service.call("GET", f"{_BASE}/settings")["kinds"])

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Choose the kinds that you are told of from now on."""
        self.service.call("PUT", f"{_BASE}/settings", json={"kinds": list(kinds)})
