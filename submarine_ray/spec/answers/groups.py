"""Groups of experiments."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer, Number


class ValueSummary(Answer):
    """What the experiments of a group logged under a name, in numbers. Texts, NaN and infinities are left out."""

    count: int
    """How many of them have a number."""
    mean: Number
    """The mean."""
    minimum: Number
    """The least."""
    maximum: Number
    """The greatest."""


class ExperimentGroup(Answer):
    """The experiments that have one value of the field that groups."""

    value: str | float | None
    """The value; null of those that have none."""
    count: int
    """How many experiments there are."""
    filter: str | None
    """The filter that finds them; null if no filter can say it."""
    values: dict[str, ValueSummary]
    """What they logged of the columns that were asked for."""
