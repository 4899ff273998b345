"""Types of template parameters: what a value must look like. Given by the template, or told by the default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

MAX_CHOICES = 200


class ParameterType(StrEnum):
    """The type of a parameter's value."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


TRUTHS = ("true", "false")


def told_by(value: str | None) -> ParameterType:
    """The type that a default tells. A whole number as a default does not say that a fraction would be wrong."""
    if value is None:
        return ParameterType.TEXT
    if value.lower() in TRUTHS:
        return ParameterType.BOOLEAN
    return ParameterType.TEXT if _number(value) is None else ParameterType.NUMBER


def problem(
    value: str,
    type: ParameterType,
    choices: Sequence[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> str | None:
    """What is wrong with a value, in words; None if nothing is."""
    if choices:
        return None if value in choices else f"{value[:80]!r} is none of {', '.join(choices)}"
    match type:
        case ParameterType.BOOLEAN:
            return None if value.lower() in TRUTHS else f"{value[:80]!r} is neither true nor false"
        case ParameterType.TEXT:
            return None
    number = _number(value)
    if number is None:
        return f"{value[:80]!r} is not a number"
    if type is ParameterType.INTEGER and not _is_whole(value):
        return f"{value[:80]!r} is not a whole number"
    if minimum is not None and number < minimum:
        return f"{value[:80]} is less than {minimum:g}"
    if maximum is not None and number > maximum:
        return f"{value[:80]} is more than {maximum:g}"
    return None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in value else None


def _is_whole(value: str) -> bool:
    return value.strip().lstrip("+-").isdecimal()
