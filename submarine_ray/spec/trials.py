"""The states of a sweep's trials, and their order. Plain Python, for both sides."""

from __future__ import annotations

import math
from collections.abc import Collection


class TrialState:
    """The states of a trial. Stopped: by the scheduler, a stop rule, a user or the end of the sweep."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"
    ENDED = frozenset({SUCCEEDED, STOPPED, FAILED})


def metric_label(metric: str, params: Collection[str]) -> str:
    """What stands above a metric's column; a parameter of the sweep may have the same name."""
    return f"{metric} (metric)" if metric in params else metric


def rank(value: float | None, mode: str) -> float:
    """Sorts trials: the best metric first, last those without one and those that diverged (NaN, an infinity)."""
    if value is None or not math.isfinite(value):
        return math.inf
    return -value if mode == "max" else value
