"""`NoticeClient`: your notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from submarine_ray.client.http import PATIENCE_SECONDS, Service

_BASE = "/api/v1/notice"


class NoticeClient:
    """Lists your notifications; arguments and errors as for EnvironmentClient."""

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def list_notices(self, limit: int = 30, before: int | None = None) -> list[dict[str, Any]]:
        """Return your notifications, newest first: at most `limit`, of those before the one with the id `before`."""
        asked = {"limit": limit} | ({"before": before} if before is not None else {})
        return list(self.service.call("GET", _BASE, params=asked))

    def mark_read(self, id: int | None = None) -> None:
        """Mark one of your notifications as read, or all of them."""
        self.service.call("POST", f"{_BASE}/read" if id is None else f"{_BASE}/{id}/read")

    def kinds(self) -> list[str]:
        """Return the kinds of notifications that you get: `experiment`, `notebook`, `endpoint`, `shared`."""
        return list(self.service.call("GET", f"{_BASE}/settings")["kinds"])

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Choose the kinds of notifications that you get from now on."""
        self.service.call("PUT", f"{_BASE}/settings", json={"kinds": list(kinds)})
