"""How much an engine does at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """How much an engine does at once. A cluster that hangs takes its own share, and no more."""

    batch: int = 40
    looks: int = 32
    looks_of_cluster: int = 2
    steps: int = 64
    steps_of_cluster: int = 4
