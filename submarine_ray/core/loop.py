"""A background loop: a thread that runs a tick repeatedly, and at once when woken."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import structlog

from submarine_ray.core.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 1.0
FAILURE_PAUSE = 2.0
APART = 0.02  # seconds between the beginnings of two ticks: what many ask for in a moment is done together


class Loop:
    """Calls `tick` until stopped; a tick answers the seconds until the next one is worth it."""

    def __init__(self, name: str, tick: Callable[[], float]) -> None:
        self.name = name
        self._tick = tick
        self._wake = threading.Event()
        self._next = math.inf
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._last_tick: float | None = None
        self._began = -math.inf

    def start(self) -> None:
        self._thread.start()

    def wake(self, seconds: float = 0.0) -> None:
        """Tick as soon as may be: somebody changed a desired state; or in `seconds`, if no tick is to come before."""
        with self._lock:
            self._next = min(self._next, time.monotonic() + seconds)
        self._wake.set()

    def silent_seconds(self) -> float | None:
        """How long ago the last tick ended; None before the first."""
        return None if self._last_tick is None else time.monotonic() - self._last_tick

    def stop(self, timeout: float = 10.0) -> None:
        """End after the tick under way; waits up to `timeout` seconds."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._next = math.inf  # from here on: whoever wakes during the tick is not passed over
            self._began = time.monotonic()
            pause = self._once()
            self._last_tick = time.monotonic()
            self.wake(min(pause, LONGEST_PAUSE))
            self._sleep()

    def _sleep(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            left = max(self._next, self._began + APART) - time.monotonic()
            if left <= 0:
                return
            self._wake.wait(left)

    def _once(self) -> float:
        try:
            return self._tick()
        except DatabaseUnavailable as failure:
            log.warning("loop.database_unavailable", loop=self.name, error=str(failure.__cause__ or failure))
        except Exception:
            log.exception("loop.tick_failed", loop=self.name)
        return FAILURE_PAUSE
