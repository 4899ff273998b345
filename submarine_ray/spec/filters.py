"""Filters of lists."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.spec.expressions import Expression


@dataclass(frozen=True)
class Filter:
    """Which experiments; deleted ones are shown only when asked for.

    `state` is the status as people see it, where what was stopped has not failed. `search` is a part of the name or
    the id, `since_ms` the earliest time of acceptance (milliseconds since 1970), `expression` a filter as text, read.
    """

    status: str | None = None
    tag: str | None = None
    owner: str | None = None
    framework: str | None = None
    search: str | None = None
    since_ms: int | None = None
    cluster: str | None = None
    state: str | None = None
    expression: Expression | None = None


@dataclass(frozen=True)
class Choices:
    """The values that experiments can be filtered by, each list in the order of the alphabet."""

    owners: list[str]
    frameworks: list[str]
    tags: list[str]
