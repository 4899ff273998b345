"""Finds records that MLflow has refused: replicas' logs report them, and the experiment's events repeat it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from submarine_ray.core.events import Event
from submarine_ray.spec.launch import NOT_STORED

_MAX_LENGTH = 1000
_NOT_STORED = NOT_STORED.encode()


def losses(files: Iterable[Path]) -> list[Event]:
    """An event for each log, named `{replica}.log`, that reports records which were not stored."""
    found = []
    for file in files:
        first, count = "", 0
        with file.open("rb") as lines:
            for line in lines:
                if line.startswith(_NOT_STORED):
                    first = first or line.decode(errors="replace").removeprefix(NOT_STORED)[:_MAX_LENGTH].rstrip("\n.")
                    count += 1
        if count:
            more = f" Its log has {count - 1} more of these lines." if count > 1 else ""
            found.append(Event("NotStored", f"{file.stem} logged what was not stored: {first}.{more}"))
    return found
