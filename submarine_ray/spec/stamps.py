"""The time of a line in a job's log, `2026-11-28T02:11:07.12Z`: the runner writes it, the control service reads it."""

from __future__ import annotations

import time
from functools import lru_cache


@lru_cache(16)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def stamp(milliseconds: int) -> str:
    """A time in milliseconds since 1970, to a hundredth of a second."""
    second, rest = divmod(milliseconds, 1000)
    return f"{_second(second)}.{rest // 10:02}Z"


def now() -> str:
    """The stamp of this moment."""
    return stamp(time.time_ns() // 1_000_000)
