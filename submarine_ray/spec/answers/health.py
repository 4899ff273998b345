"""What the service reports about itself."""

from __future__ import annotations

from typing import Literal

from submarine_ray.spec.answers.base import Answer


class ClockJump(Answer):
    """The machine's clock was set while the service ran."""

    time: str
    """When, by the new time (ISO 8601)."""
    seconds: float
    """By how many seconds; negative if it was set back."""


class ServiceHealth(Answer):
    """The health of a control service."""

    status: Literal["ok", "degraded"]
    """degraded if there are problems."""
    version: str
    """The service's version."""
    started_time: str
    """When the service started (ISO 8601)."""
    database: str
    """up, down, or lost if its file was removed or replaced."""
    tracking: Literal["up", "starting"]
    """Whether MLflow answers."""
    problems: list[str]
    """What is wrong and what to do, a sentence each."""
    clock_jumps: list[ClockJump]
    """Changes of the machine's clock since the service started."""
    seconds_since_tick: dict[str, float | None]
    """For each background loop, the seconds since its last tick; null if it has not started."""
