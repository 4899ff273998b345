"""Changes that clusters have reported and no tick has handled yet."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

# What changes together is looked at together: a look costs the same for one as for many.
GATHER_SECONDS = 0.15


class ChangeQueue:
    """Ids of what has changed, gathered for a moment; then `wake` is called.

    Those that are being worked on are kept back until they are let go: the work may have looked before the change, and
    will then put its own time for the next look over the one asked for here.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._held: Counter[str] = Counter()
        self._ready_at = 0.0

    def add(self, ids: Iterable[str]) -> None:
        with self._lock:
            gathers = time.monotonic() < self._ready_at
            self._changed |= set(ids)
            if gathers:
                return
            self._ready_at = time.monotonic() + GATHER_SECONDS
        timer = threading.Timer(GATHER_SECONDS, self._wake)
        timer.daemon = True
        timer.start()

    def take(self) -> list[str]:
        """What has changed, and is not being worked on; nothing while more is gathered."""
        with self._lock:
            if time.monotonic() < self._ready_at:
                return []
            ready = self._changed - self._held.keys()
            self._changed -= ready
            return sorted(ready)

    def put_back(self, ids: Iterable[str]) -> None:
        """What was taken could not be dealt with: it is there to be taken again."""
        with self._lock:
            self._changed |= set(ids)

    def hold(self, ids: Iterable[str]) -> None:
        """Somebody begins to work on these, perhaps before the one before has let go of them."""
        with self._lock:
            self._held.update(ids)

    def let_go(self, ids: Iterable[str]) -> bool:
        """Some work on these has ended; whether any of them has changed meanwhile."""
        with self._lock:
            worked_on = set(ids)
            self._held -= Counter(worked_on)  # drops those that nobody holds any more
            return not self._changed.isdisjoint(worked_on)
