"""What has happened."""

from __future__ import annotations

from pydantic import Field

from submarine_ray.spec.answers.base import Answer


class Event(Answer):
    """Something that happened."""

    time: str
    """When, for the first time."""
    last_time: str
    """When it last happened: what comes again while the state stays is one event."""
    count: int
    """How often it has happened."""
    from_status: str | None = Field(alias="from")
    """The state before, where it has changed."""
    to_status: str | None = Field(alias="to")
    """The state since."""
    reason: str
    """What, in a word."""
    message: str
    """What, in a sentence."""
