"""Whether values keep their meaning in the type that a model declares. Pure functions.

numpy and pandas wrap, cut and guess: 3000000000 becomes -1294967296 in an int32, 2.5 becomes 2, "false" becomes True.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

NUMBERS = frozenset(
    ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"]
)


def misfit(values: Any, wanted: str, called: str | None = None) -> str | None:
    """Why `values` (an array, a pandas Series or nested lists) cannot be of the type; None if they can.

    `wanted` is numpy's name of a type, or `string` or `binary`; any other type is not looked at here. `called` is what
    the reason names it.
    """
    if wanted == "string":
        return None if _is_text(values) else f"are no {called or 'text'} ({_kind(values)})"
    if wanted == "binary":
        return next((wrong for value in values if (wrong := _not_base64(value))), None)
    if wanted not in NUMBERS:
        return None
    try:
        raw = np.asarray(values)
    except ValueError:
        return "have different lengths"
    if raw.dtype == wanted:
        return None
    target = _Target(wanted, called or wanted)
    return _numbers(raw, target) if raw.dtype.kind in "biuf" else _objects(raw, target)


@dataclass(frozen=True)
class _Target:
    """The type that is wanted, and the reasons why something is none."""

    dtype: str
    called: str

    @property
    def kind(self) -> str:
        return np.dtype(self.dtype).kind

    def none(self, value: Any) -> str:
        return f"are no {self.called}, such as {str(value)[:40]}"

    def missing(self) -> str:
        return f"are missing (null or NaN), which {self.called} cannot be"

    def outside(self, value: Any) -> str | None:
        low, high = limits(self.dtype)
        if low <= value <= high:
            return None
        return f"are outside of {self.called}, which goes from {low} to {high}, such as {str(value)[:40]}"


def _numbers(raw: np.ndarray[Any, Any], target: _Target) -> str | None:
    """For an array of numbers."""
    if target.kind == "f":
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(raw.astype(target.dtype))
        return None if is_finite.all() else _outside(raw[np.isfinite(raw) & ~is_finite], target)
    if raw.dtype.kind == "f":
        if np.isnan(raw).any():
            return target.missing()
        if (broken := raw[(raw % 1 != 0) | np.isinf(raw)]).size:
            return target.none(broken.flat[0])
    if target.kind == "b":
        wrong = raw[(raw != 0) & (raw != 1)]
        return target.none(wrong.flat[0]) if wrong.size else None
    return _outside(raw, target)


def _outside(raw: np.ndarray[Any, Any], target: _Target) -> str | None:
    if raw.size == 0 or raw.dtype.kind == "b":
        return None
    # Python's numbers compare exactly where numpy would round the limits of 64 bits.
    return target.outside(raw.min().item()) or target.outside(raw.max().item())


def _objects(raw: np.ndarray[Any, Any], target: _Target) -> str | None:
    """For text, None and mixtures: one after the other."""
    if raw.dtype.kind not in "UO":
        return target.none(raw.dtype)
    return next((wrong for value in raw.flat if (wrong := _object(value, target))), None)


def _object(value: Any, target: _Target) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None if target.kind == "f" else target.missing()
    number = value
    if isinstance(value, str):
        try:
            number = int(value) if target.kind in "iu" else float(value)
        except ValueError:
            return target.none(repr(str(value)))
        if target.kind == "b":
            return target.none(repr(str(value)))
    if not isinstance(number, (int, float, np.number)):
        return target.none(value)
    if target.kind == "f":
        return None if isinstance(number, float) and not math.isfinite(number) else target.outside(number)
    if isinstance(number, float) and number % 1 != 0:
        return target.none(value)
    return target.outside(number)


def limits(wanted: str) -> tuple[Any, Any]:
    """The smallest and the largest number of a type, exactly."""
    if wanted == "bool":
        return 0, 1
    if np.dtype(wanted).kind == "f":
        info = np.finfo(wanted)
        return float(info.min), float(info.max)
    whole = np.iinfo(wanted)
    return int(whole.min), int(whole.max)


def _is_text(values: Any) -> bool:
    if str(getattr(values, "dtype", "")) in ("str", "string"):
        return True
    return all(isinstance(value, str) or value is None or value != value for value in _flat(values))


def _flat(values: Any) -> Any:
    return values if isinstance(values, (list, tuple)) or hasattr(values, "dtype") else [values]


def _kind(values: Any) -> str:
    first = next((value for value in _flat(values) if not isinstance(value, str) and value is not None), None)
    return str(getattr(values, "dtype", type(first).__name__))


def _not_base64(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"are no base64 text ({type(value).__name__})"
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except ValueError as failure:
        return f"are no base64 text ({failure})"
    return None
