"""Copies what experiments log from MLflow's tables into ours: soon while they run, once more when they have ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog
from sqlalchemy.exc import IntegrityError

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values.repository import Due, Name, Value
from submarine_ray.experiments.values.tables import TEXT_LENGTH
from submarine_ray.spec import expressions, numbers
from submarine_ray.spec.expressions import FieldKind
from submarine_ray.tracking.service import TrackingService

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
AT_ONCE = 50
# A young experiment is looked at every few seconds, one that has run for long every half minute.
SHORTEST_MS, LONGEST_MS, OF_AGE = 3_000, 30_000, 0.1
MOST_VALUES = 2_000  # of an experiment


class ValueUpkeep:
    """Looks at the runs of experiments that may have logged more."""

    def __init__(self, database: Database, tracking: TrackingService) -> None:
        self._database = database
        self._tracking = tracking
        self._marks: dict[str, tuple[int, int]] = {}

    def tick(self) -> float:
        """The seconds until the next look."""
        if not self._tracking.is_ready:
            return PAUSE_SECONDS
        now = now_ms()
        with self._database.session() as session:
            if not repository.is_due(session, now):
                return PAUSE_SECONDS
        with self._database.session(write=True) as session:
            due = repository.take_due(session, now, now + LONGEST_MS, AT_ONCE)
        try:
            self._look(due)
        except IntegrityError:  # another service added a name at the same time
            return 0.0
        return 0.0 if len(due) == AT_ONCE else PAUSE_SECONDS

    def _look(self, due: Sequence[Due]) -> None:
        """Store what is new of some experiments, and say when to look next."""
        runs = {one.run_id: one for one in due if one.run_id}
        marks = self._tracking.marks(list(runs))
        changed = [run for run, one in runs.items() if one.is_final or marks.get(run) != self._marks.get(run)]
        found = self._read(changed)
        final = [one.experiment_id for one in due if one.is_final]
        now = now_ms()
        with self._database.session(write=True) as session:
            ids = repository.name_ids(session, {name for values in found.values() for name in values})
            repository.replace(
                session,
                {runs[run].experiment_id: {ids[name]: value for name, value in found[run].items()} for run in changed},
            )
            repository.done(session, final)
            repository.again(session, {one.experiment_id: now + _pause(one, now) for one in due if not one.is_final})
        for run in changed:
            if runs[run].is_final:
                self._marks.pop(run, None)
            elif run in marks:
                self._marks[run] = marks[run]

    def _read(self, runs: Collection[str]) -> dict[str, dict[Name, Value]]:
        """What some runs have logged."""
        found: dict[str, dict[Name, Value]] = {run: {} for run in runs}
        for run, key, text in self._tracking.logged_params(runs):
            found[run][FieldKind.PARAM, key] = Value(expressions.number(text), text[:TEXT_LENGTH])
        for one in self._tracking.latest(runs):
            text = str(numbers.to_json(one.value))
            found[one.run][FieldKind.METRIC, one.key] = Value(expressions.number(text), text)
        return {run: dict(list(values.items())[:MOST_VALUES]) for run, values in found.items()}


def _pause(one: Due, now: int) -> int:
    return int(min(LONGEST_MS, max(SHORTEST_MS, (now - one.accepted_ms) * OF_AGE)))
