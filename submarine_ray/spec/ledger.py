"""Whether an attempt may begin: what the service answers a runner that asks."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer


class Beginning(Answer):
    """The answer to a runner that asks whether it may begin an attempt."""

    may_begin: bool
    """Whether this runner may run the attempt."""
    why: str | None
    """Why it may not, in a sentence."""
    launch: dict[str, JsonValue] | None
    """The launch to run; only for a runner that shows the job's ticket."""
