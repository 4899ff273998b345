"""What a feature gives to the engine: its rows, one look at a cluster, a decision, and one step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from submarine_ray.core.events import Event
from submarine_ray.core.leases import Claimable

RowT = TypeVar("RowT", bound=Claimable)
ObservedT = TypeVar("ObservedT")
StepT = TypeVar("StepT")


@dataclass(frozen=True)
class Outcome:
    """What came of a step.

    `values`: columns of the row to write; `next_check_ms` is among them (core.clock.due_ms; None: nothing is left to
    do). `events`: what users are told. `remove`: the row goes instead.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[Event] = ()
    remove: bool = False

    @property
    def due_ms(self) -> float:
        """When the row is due again; infinite if nothing is left to do."""
        due = None if self.remove else self.values.get("next_check_ms")
        return due if isinstance(due, int | float) else math.inf


class Feature(Protocol[RowT, ObservedT, StepT]):
    """Rows of one table that are brought to what users want of them, cluster by cluster."""

    name: str
    """Of metrics, threads and log lines, such as `experiments`."""
    table: type[RowT]
    expected: tuple[type[Exception], ...]
    """Failures of the world, such as a cluster that does not answer: told in their own words. Others are mistakes."""

    def ready(self) -> None:
        """Return once the feature can work: before the first rows are claimed, and again before each tick."""

    def observe(self, cluster: str, rows: Sequence[RowT]) -> ObservedT:
        """One look at a cluster for all these rows. If it raises, no row changes; the cluster is left alone a while."""

    def decide(self, row: RowT, observed: ObservedT) -> StepT:
        """The next step of a row. Pure; taking it twice must be harmless."""

    def is_note(self, step: StepT) -> bool:
        """Whether the step asks nobody: it only changes the row, and is written together with others."""

    def perform(self, row: RowT, step: StepT, observed: ObservedT) -> Outcome:
        """Take one step, however long that is. The row stays leased meanwhile."""

    def failed(self, row: RowT, step: StepT | None, failure: Exception) -> Outcome | None:
        """What a failure means to the row (`step` is None if it could not be decided); None: try again later."""

    def write(self, session: Session, row: RowT, outcome: Outcome) -> bool:
        """Write what came of a step, with its events, if the lease and the desired state are still the same."""

    def written(self, row: RowT, outcome: Outcome) -> None:
        """Tell those who wait; after the transaction."""
