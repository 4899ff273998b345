"""A Ray Serve application that answers nobody: its `user_config` says which generation the whole configuration is of.

It has no replica, and no route. The control service reads what Serve shows of it (clusters/drivers/fences.py).
"""

from __future__ import annotations

from typing import Any

from ray import serve


@serve.deployment(name="fence")
class FenceDeployment:
    """Never started: nobody asks it, and it may have no replicas."""

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Serve wants it of what has a `user_config`."""


def build(_args: dict[str, Any]) -> Any:
    """The application that the control service's configuration asks for."""
    deployment: Any = FenceDeployment
    return deployment.bind()
