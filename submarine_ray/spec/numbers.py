"""NaN and the infinities, which neither JSON nor MLflow's tables have: told apart from numbers, and from each other.

Answers have them as the strings "NaN", "Infinity" and "-Infinity", as protobuf's JSON and MLflow's own API do; the SDK
makes floats of them again. MLflow stores an infinity as the largest 64-bit number, so exactly that is read as one.
"""

from __future__ import annotations

import math
import sys

NAN, INFINITY, MINUS_INFINITY = "NaN", "Infinity", "-Infinity"
LARGEST = sys.float_info.max
WHOLE = 1e15


def stored(value: float) -> float:
    """A metric's value as it was logged, from what MLflow stores."""
    return math.copysign(math.inf, value) if abs(value) == LARGEST else value


def is_finite(value: float | None) -> bool:
    """Whether there is a number that can be compared and drawn."""
    return value is not None and math.isfinite(value)


def is_whole(value: float) -> bool:
    """Whether a number is shown with all its digits: it may be a seed or a count. A float has 15 of them."""
    return value == value // 1 and abs(value) < WHOLE


def to_json(value: float | None) -> float | str | None:
    """A number as JSON can have it."""
    if value is None or math.isfinite(value):
        return value
    return NAN if math.isnan(value) else INFINITY if value > 0 else MINUS_INFINITY


def from_json(value: float | str | None) -> float | None:
    """A number of an answer's."""
    return None if value is None else float(value)
