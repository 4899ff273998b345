"""Groups of experiments."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer, Number


class ValueSummary(Answer):
    """Statistics of what the experiments of a group logged under a name. Texts, NaN and infinities are left out."""

    count: int
    """The number of experiments with a numeric value."""
    mean: Number
    """The mean."""
    minimum: Number
    """The minimum."""
    maximum: Number
    """The maximum."""


class ExperimentGroup(Answer):
    """The experiments with the same value of the grouping field."""

    value: str | float | None
    """The value; null for those without one."""
    count: int
    """The number of experiments."""
    filter: str | None
    """The filter that finds them; null if it cannot be written as a filter."""
    values: dict[str, ValueSummary]
    """Statistics of the requested columns."""
