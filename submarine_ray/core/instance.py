"""The name of this control service, which stays the same across restarts: leases bear it."""

from __future__ import annotations

import fcntl
import socket
import uuid
from pathlib import Path

from submarine_ray.core.errors import Conflict

MOST = 64


class Instance:
    """Holds a directory below a home: one service a directory, so that a restarted one may free its own old leases.

    `directory` belongs to the first service of the home. With `shared`, where the database is a server, further
    services may use the home too: each holds the first directory `2`, `3`, ... that is free.
    """

    def __init__(self, directory: Path, shared: bool = False) -> None:
        places = [directory, *(directory / str(number) for number in range(2, MOST + 1))] if shared else [directory]
        for number, place in enumerate(places, 1):
            place.mkdir(parents=True, exist_ok=True)
            self._lock = (place / "service.lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._lock.close()
                continue
            self.number, self.directory = number, place
            break
        else:
            if shared:
                raise Conflict(f"{MOST} control services already run in {directory}; give this one another home.")
            raise Conflict(
                f"A control service already runs in {directory}; `submarine status` shows it. Several share a home "
                "only with SUBMARINE_DATABASE_URL and SUBMARINE_MLFLOW_DATABASE_URL: one process owns a SQLite file."
            )
        name = self.directory / "instance"
        if not name.exists():
            name.write_text(f"{socket.gethostname()[:30]}-{uuid.uuid4().hex[:8]}")
        self.name = name.read_text().strip()

    def release(self) -> None:
        """Let another service have the directory."""
        self._lock.close()
