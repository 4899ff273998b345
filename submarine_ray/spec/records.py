"""Metrics and parameters: what may be logged, and how MLflow's REST API takes it.

Whatever passes these checks is stored: they are MLflow's own, and stricter where MLflow would store something else
than it was given. Only the standard library: this runs in every replica.
"""

from __future__ import annotations

import functools
import math
import posixpath
import re
import time
from dataclasses import dataclass
from typing import Any, SupportsInt

# MLflow's rule for metrics and parameters (mlflow/utils/validation.py).
_KEY = re.compile(r"[/\w.\- :]{1,250}")
MAX_PARAM_LENGTH = 6000
_SHOWN = 80
_INT64 = 2**63


@dataclass(slots=True)  # not frozen, which would take a fifth of the time that logging takes
class Metric:
    """One value of a metric; `timestamp` in milliseconds since 1970."""

    key: str
    value: float
    step: int
    timestamp: int

    @classmethod
    def checked(cls, key: object, value: object, step: object = 0, timestamp: SupportsInt | None = None) -> Metric:
        """The metric, if it can be stored as it is. Raises TypeError, ValueError."""
        key = checked_key(key)
        number = checked_number(value, f"metric {key!r}")
        moment = time.time_ns() // 1_000_000 if timestamp is None else int(timestamp)
        if not 0 <= moment < _INT64:
            raise ValueError(f"metric {key!r}: the time {shown(timestamp)} is not between 1970 and the end of 64 bits")
        return cls(key, number, checked_step(step, key), moment)

    def body(self) -> dict[str, str | float]:
        """The record as MLflow's REST API takes it. JSON has no NaN; MLflow's protobuf form spells it out."""
        value: float | str = self.value
        if not math.isfinite(self.value):
            value = "NaN" if math.isnan(self.value) else "Infinity" if self.value > 0 else "-Infinity"
        return {"key": self.key, "value": value, "step": self.step, "timestamp": self.timestamp}

    def __str__(self) -> str:
        return f"metric {self.key!r} = {self.value!r} at step {self.step}"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter."""

    key: str
    value: str

    @classmethod
    def checked(cls, key: object, value: object) -> Param:
        """The parameter, if it can be stored as it is; the value becomes text. Raises ValueError."""
        key, text = checked_key(key), str(value)
        if len(text) > MAX_PARAM_LENGTH:
            raise ValueError(
                f"parameter {key!r}: the value {shown(text)} has {len(text)} characters; at most {MAX_PARAM_LENGTH} "
                "are kept: log longer texts as an artifact"
            )
        try:
            text.encode()
        except UnicodeEncodeError as failure:
            raise ValueError(
                f"parameter {key!r}: the value {shown(text)} is not Unicode text, so it cannot be stored: "
                "it may be a file name that is not UTF-8. Log repr(value) instead"
            ) from failure
        return cls(key, text)

    def body(self) -> dict[str, str]:
        """The record as MLflow's REST API takes it."""
        return {"key": self.key, "value": self.value}

    def __str__(self) -> str:
        return f"parameter {self.key!r} = {shown(self.value)}"


Record = Metric | Param


def checked_key(key: object) -> str:
    """`key`, if it can name a metric or parameter. Raises ValueError."""
    return _known_key(str(key))


@functools.lru_cache(1024)
def _known_key(key: str) -> str:
    if not _KEY.fullmatch(key) or posixpath.normpath(key) != key or key == "." or key.startswith(("/", "..")):
        raise ValueError(
            f"{shown(key)} cannot name a metric or parameter: use 1 to 250 letters, digits, '_', '-', '.', '/', ':' "
            "and blanks, and write it as a path in its shortest form"
        )
    return key


def checked_number(value: object, what: str) -> float:
    """A number of any library as a float; arrays and tensors of one element too. `what` it is, for the error.

    Raises TypeError, ValueError: it is no number, several, or beyond 64 bits.
    """
    if type(value) is float:
        return value
    try:
        found = _scalar(value)
        number = float(found)
    except OverflowError as failure:
        raise ValueError(f"{what}: {shown(value)} is too large for a 64-bit floating point number") from failure
    except (TypeError, ValueError, RuntimeError) as failure:  # PyTorch raises RuntimeError for several elements
        kind = ValueError if isinstance(failure, ValueError) else TypeError
        raise kind(f"{what}: {shown(value)} is not one number: {str(failure)[:200]}") from failure
    if math.isinf(number) and not isinstance(found, str | bytes) and found != number:
        raise ValueError(f"{what}: {shown(value)} is too large for a 64-bit floating point number")
    return number


def checked_step(step: object, key: str, kind: str = "metric") -> int:
    """A training step: a whole number of 64 bits; None counts as 0, as MLflow has it. `kind` and `key` are for the
    error. Raises TypeError, ValueError.
    """
    if step is None:
        return 0
    if type(step) is int and -_INT64 <= step < _INT64:
        return step
    try:
        found = _scalar(step)
        whole = int(found)
    except (TypeError, ValueError, OverflowError, RuntimeError) as failure:
        raise ValueError(f"{kind} {key!r}: the step {shown(step)} is not a whole number") from failure
    if not isinstance(found, str | bytes) and whole != found:
        raise ValueError(f"{kind} {key!r}: the step {shown(step)} is not a whole number")
    if not -_INT64 <= whole < _INT64:
        raise ValueError(f"{kind} {key!r}: the step {shown(step)} is beyond 64 bits")
    return whole


def _scalar(value: object) -> Any:
    """What an array or tensor of one element holds; anything else as it is."""
    if callable(item := getattr(value, "item", None)):  # NumPy, PyTorch, JAX, pandas
        return item()
    if callable(numpy := getattr(value, "numpy", None)):  # TensorFlow
        return _scalar(numpy())
    return value


def shown(value: object) -> str:
    """A value in an error: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (another's repr; Python's own refuses whole numbers of many digits)
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
