"""Whether an attempt may begin: what the service answers a runner that asks."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer


class Beginning(Answer):
    """The ledger's answer."""

    may_begin: bool
    """Whether this run may run the attempt."""
    why: str | None
    """Why not, in a sentence."""
    launch: dict[str, JsonValue] | None
    """What it is to run, for who asks with the job's ticket."""
