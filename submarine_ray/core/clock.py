"""Time: UTC, whole milliseconds since 1970 inside, ISO 8601 with milliseconds and offset outside.

Two clocks. `now_ms` is the machine's: what people are shown, and it may be set. `due_ms` is for everything that waits:
leases, due times, timeouts. It goes on evenly whatever the machine's clock does, also across restarts of the service;
services that share a database server take its clock instead, because they compare their times with each other's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

JUMP_MS = 2_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _even_ms() -> int:
    """Since the machine's start, sleep included; nobody can set it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True)
class Jump:
    """A clock was set: when by its new time, and by how many milliseconds (negative: back)."""

    at_ms: int
    by_ms: int


class Clock:
    """`wall` is the machine's clock, `even` one that is never set; both in ms."""

    def __init__(self, wall: Callable[[], int] = _wall_ms, even: Callable[[], int] = _even_ms) -> None:
        self.wall = wall
        self._even = even
        self._lock = threading.Lock()
        self._apart = self._wall_apart = wall() - even()
        self._server_apart: int | None = None
        self.jumps: list[Jump] = []
        self.server_jumps = 0

    def due_ms(self) -> int:
        """The time that waiting goes by."""
        apart = self._apart if self._server_apart is None else self._server_apart
        return self._even() + apart

    def even_ms(self) -> int:
        """A time to reckon how long something lasts, by this process alone: nobody can set it."""
        return self._even()

    def shown(self, due_ms: int) -> int:
        """A time of `due_ms`'s as the machine's clock will say it."""
        return due_ms - self.due_ms() + self.wall()

    def keep(self, file: Path) -> None:
        """Go on as the process before did that used this file, if the machine was not started anew meanwhile."""
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        try:
            known = json.loads(file.read_text())
            if boot and known["boot"] == boot:
                self._apart = int(known["apart"])
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the first start
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"boot": boot, "apart": self._apart}))

    def look(self) -> Jump | None:
        """Whether the machine's clock was set since the last look; said in the log."""
        with self._lock:
            apart = self.wall() - self._even()
            by, self._wall_apart = apart - self._wall_apart, apart
            if abs(by) < JUMP_MS:
                return None
            jump = Jump(self.wall(), by)
            self.jumps = [*self.jumps[-9:], jump]
        log.warning("clock.jumped", seconds=round(by / 1000, 1))
        return jump

    def agree(self, server_ms: int) -> bool:
        """Go by the clock of a database server, which says `server_ms` now; whether it was set since it last said."""
        with self._lock:
            apart = server_ms - self._even()
            by = apart - (apart if self._server_apart is None else self._server_apart)
            if self._server_apart is not None and abs(by) < JUMP_MS:
                return False
            self._server_apart = apart
            if not by:
                return False
            self.server_jumps += 1
        log.warning("clock.database_jumped", seconds=round(by / 1000, 1))
        return True


CLOCK = Clock()


def now_ms() -> int:
    """The machine's time: for what people are shown."""
    return CLOCK.wall()


def due_ms() -> int:
    """The time that waiting goes by: leases, due times, timeouts."""
    return CLOCK.due_ms()


def iso(ms: int | None) -> str | None:
    """As `moment`, where there may be none."""
    return None if ms is None else moment(ms)


def moment(ms: int) -> str:
    """`2022-03-14T16:03:10.000+00:00`, the form of Submarine's documents."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
