"""What clusters have told of since it was last asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class News:
    """Ids of what has changed. Those that are being worked on are kept back until they are let go: the work may have
    looked before the change, and will then put its own time for the next look over the one asked for here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._held: set[str] = set()

    def add(self, ids: Iterable[str]) -> None:
        with self._lock:
            self._changed |= set(ids)

    def take(self) -> list[str]:
        """What has changed, and is not being worked on."""
        with self._lock:
            ready = self._changed - self._held
            self._changed -= ready
            return sorted(ready)

    def hold(self, ids: Iterable[str]) -> None:
        with self._lock:
            self._held |= set(ids)

    def let_go(self, ids: Iterable[str]) -> None:
        with self._lock:
            self._held -= set(ids)
