"""What replicas logged and MLflow did not take: their logs say so, and so do the experiment's events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from submarine_ray.core.events import Event
from submarine_ray.spec.launch import NOT_STORED

_MAX_LENGTH = 1000


def losses(logs: Mapping[str, str]) -> list[Event]:
    """An event for each log, by its path, that tells of records that were not stored."""
    found = []
    for path, text in logs.items():
        if NOT_STORED not in text:
            continue
        told = [line.removeprefix(NOT_STORED) for line in text.split("\n") if line.startswith(NOT_STORED)]
        if told:
            more = f" Its log has {len(told) - 1} more of these lines." if len(told) > 1 else ""
            name, first = PurePosixPath(path).stem, told[0][:_MAX_LENGTH].rstrip(".")
            found.append(Event("NotStored", f"{name} logged what was not stored: {first}.{more}"))
    return found
