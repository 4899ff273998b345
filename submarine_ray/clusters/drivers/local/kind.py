"""The kind of the cluster that `submarine up` starts on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kinds import Capabilities, Means
from submarine_ray.clusters.drivers.ray.kind import RayAddress, RayKind
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.settings import Settings
from submarine_ray.spec.json_types import JsonObject


class LocalKind(RayKind):
    """See kinds.Kind."""

    def capabilities(self, row: ClusterRow) -> Capabilities:
        return Capabilities(is_here=True)

    def address(self, row: ClusterRow, means: Means) -> RayAddress:
        state = _state(means.settings)
        if state is None:
            raise Unreachable("the local Ray cluster is not running; start it with `submarine up`")
        token = means.settings.layout.ray_token.read_text().strip()
        return RayAddress(state["address"], token, Path(state["directory"]))

    def serve_url(self, row: ClusterRow, endpoint: str, settings: Settings) -> str:
        state = _state(settings)
        return f"http://{state['serveHost']}:{state['servePort']}" if state else "http://127.0.0.1:8000"

    def serve_http_options(self, settings: Settings) -> JsonObject:
        state = _state(settings)
        if state is None:
            return super().serve_http_options(settings)
        return {"host": state["serveHost"], "port": state["servePort"]}


def _state(settings: Settings) -> dict[str, Any] | None:
    """What `submarine up` wrote; read each time, because a restarted cluster may answer elsewhere."""
    try:
        state: dict[str, Any] = json.loads(settings.layout.ray_state.read_text())
        return state
    except (OSError, ValueError):
        return None


KIND = LocalKind()
