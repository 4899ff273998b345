"""What a replica's machine does, beside what the code logs: names as MLflow has them, below `system/`."""

from __future__ import annotations

PREFIX = "system/"
# How many seconds pass from one sample to the next; 0: none is taken. MLflow's own default.
SECONDS_VARIABLE = "SUBMARINE_SYSTEM_METRICS_SECONDS"
DEFAULT_SECONDS = 10.0


def is_system(key: str) -> bool:
    """Whether a metric is one of the system's."""
    return key.startswith(PREFIX)


def seconds(text: str | None) -> float:
    """What the variable says; the default where it says nothing that can be read."""
    try:
        return max(0.0, float(text)) if text else DEFAULT_SECONDS
    except ValueError:
        return 0.0 if text and text.strip().lower() in ("off", "false", "no") else DEFAULT_SECONDS
