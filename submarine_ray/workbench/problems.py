"""What validation found, as sentences to put beside fields."""

from __future__ import annotations

from pydantic import ValidationError

from submarine_ray.core.http import sentence


def first_problem(failure: ValidationError) -> str:
    """The first thing that is wrong."""
    return sentence(dict(failure.errors()[0]))


def all_problems(failure: ValidationError) -> str:
    """Everything that is wrong, a line each."""
    return "\n".join(sentence(dict(item)) for item in failure.errors()[:10])
