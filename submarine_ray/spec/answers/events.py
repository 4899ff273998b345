"""What has happened."""

from __future__ import annotations

from pydantic import Field

from submarine_ray.spec.answers.base import Answer


class Event(Answer):
    """Something that happened to a resource."""

    time: str
    """When it first happened."""
    last_time: str
    """When it last happened. An event that repeats while the state stays is listed once."""
    count: int
    """How often it has happened."""
    from_status: str | None = Field(alias="from")
    """The status before; null if the status did not change."""
    to_status: str | None = Field(alias="to")
    """The status after; null if the status did not change."""
    reason: str
    """What happened, in one word."""
    message: str
    """What happened, in a sentence."""
