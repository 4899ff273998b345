"""Ids in Submarine's form, unique across threads, processes and restarts."""

from __future__ import annotations

import threading

from submarine_ray.core.clock import now_ms


class IdFactory:
    """Makes `experiment-<epoch ms>-<0001>`: the time of the id and a running number.

    Two control services can only meet on an id if they make the same number in the same millisecond; the primary key
    refuses the second, and the caller takes the next id.
    """

    def __init__(self, prefix: str, separator: str = "-") -> None:
        self._prefix = prefix
        self._separator = separator
        self._lock = threading.Lock()
        self._number = 0

    def next(self) -> str:
        with self._lock:
            self._number += 1
            number = self._number
        return f"{self._prefix}{self._separator}{now_ms()}{self._separator}{number:04d}"
