"""Who this control service is, the same across its restarts: leases bear its name."""

from __future__ import annotations

import fcntl
import socket
import uuid
from pathlib import Path

from submarine_ray.core.errors import Conflict


class Instance:
    """Holds the home directory: one service a directory, so that a restarted one may free its own old leases."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = (directory / "service.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            raise Conflict(f"A control service already runs in {directory}; `submarine status` shows it.") from failure
        name = directory / "instance"
        if not name.exists():
            name.write_text(f"{socket.gethostname()[:30]}-{uuid.uuid4().hex[:8]}")
        self.name = name.read_text().strip()
