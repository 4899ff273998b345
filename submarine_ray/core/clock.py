"""Time: UTC, whole milliseconds since 1970 inside, ISO 8601 with milliseconds and offset outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(ms: int | None) -> str | None:
    """`2022-03-14T16:03:10.000+00:00`, the form of Submarine's documents."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
