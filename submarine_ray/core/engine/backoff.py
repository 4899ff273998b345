"""Exponential backoff with jitter, up to minutes."""

from __future__ import annotations

import random
import threading

FIRST_MS, LONGEST_MS = 2_000, 300_000
JITTER = 0.25
MOST = 10_000
"""Keys that are remembered. What fails longest ago is forgotten first: rows may be deleted while they fail."""


class Backoff:
    """Failures in a row, by key. Kept by the process: a restarted one begins anew."""

    def __init__(
        self, first_ms: int = FIRST_MS, longest_ms: int = LONGEST_MS, chance: random.Random | None = None
    ) -> None:
        self._first_ms = first_ms
        self._longest_ms = longest_ms
        self._chance = chance or random.Random()  # noqa: S311 (no secret)
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}

    def failed(self, key: str) -> tuple[int, int]:
        """Note a failure; how many there were in a row, and the pause in ms."""
        with self._lock:
            count = self._failures.pop(key, 0) + 1
            self._failures[key] = count  # the latest is the last in a dict
            if len(self._failures) > MOST:
                del self._failures[next(iter(self._failures))]
        pause = min(self._longest_ms, self._first_ms * 2 ** min(count - 1, 20))
        return count, int(pause * (1 + self._chance.uniform(-JITTER, JITTER)))

    def succeeded(self, key: str) -> bool:
        """Forget a key's failures; whether there were any."""
        with self._lock:
            return self._failures.pop(key, None) is not None
