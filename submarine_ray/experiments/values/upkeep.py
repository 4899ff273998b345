"""Copies what experiments log from MLflow's tables into ours: soon while they run, once more when they have ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import structlog
from sqlalchemy.exc import IntegrityError

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values.repository import Due, Name, Value
from submarine_ray.experiments.values.tables import TEXT_LENGTH
from submarine_ray.spec import expressions, numbers
from submarine_ray.spec.expressions import FieldKind
from submarine_ray.spec.system_metrics import is_system
from submarine_ray.tracking.best import Objective
from submarine_ray.tracking.curves import Mark
from submarine_ray.tracking.service import TrackingService

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
AT_ONCE = 50
# A young experiment is looked at every few seconds, one that has run for long every half minute.
SHORTEST_MS, LONGEST_MS, OF_AGE = 3_000, 30_000, 0.1
MOST_VALUES = 2_000  # of an experiment
MOST_MARKS = 10_000
STORED_AT_ONCE = 5_000


class ValueUpkeep:
    """Looks at the runs of experiments that may have logged more."""

    def __init__(self, database: Database, tracking: TrackingService) -> None:
        self._database = database
        self._tracking = tracking
        self._marks: dict[str, Mark | None] = {}  # of runs that were read
        self._optimized: dict[str, Objective | None] = {}  # by sweeps, of runs that were seen

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
        best = self._tracking.best_trials(self._objectives(list(runs.values())))
        changed = [
            run for run, one in runs.items() if one.is_final or run in best or not self._is_read(run, marks.get(run))
        ]
        read = self._read(changed, best)
        found = {runs[run].experiment_id: values for run, values in read.items()}
        found |= {one.experiment_id: {} for one in due if not one.run_id}  # what an earlier attempt logged is no more
        for portion in _portions(due, found):
            self._store(portion, found)
        for run in changed:
            self._note(runs[run], marks.get(run))

    def _objectives(self, due: Sequence[Due]) -> dict[str, Objective]:
        """What the sweeps among some experiments optimize, by their runs. A run's spec stays what it is."""
        if new := [one for one in due if one.run_id not in self._optimized]:
            with self._database.session() as session:
                found = repository.objectives(session, [one.experiment_id for one in new])
            self._optimized |= {str(one.run_id): found.get(one.experiment_id) for one in new}
        asked = {one.run_id: self._optimized[one.run_id] for one in due if one.run_id}
        while len(self._optimized) > MOST_MARKS:
            del self._optimized[next(iter(self._optimized))]
        return {run: objective for run, objective in asked.items() if objective}

    def _store(self, due: Sequence[Due], found: Mapping[str, Mapping[Name, Value]]) -> None:
        now = now_ms()
        with self._database.session(write=True) as session:
            same = repository.unchanged(session, due, now)
            kept = {id: found[id] for id in same & found.keys()}
            ids = repository.name_ids(session, {name for values in kept.values() for name in values})
            repository.replace(
                session, {id: {ids[name]: value for name, value in values.items()} for id, values in kept.items()}
            )
            left = [one for one in due if one.experiment_id in same]
            repository.done(session, [one.experiment_id for one in left if one.is_final])
            repository.again(session, {one.experiment_id: now + _pause(one, now) for one in left if not one.is_final})

    def _is_read(self, run: str, mark: Mark | None) -> bool:
        return run in self._marks and self._marks[run] == mark

    def _note(self, one: Due, mark: Mark | None) -> None:
        if one.run_id:
            self._marks.pop(one.run_id, None)
            if not one.is_final:
                self._marks[one.run_id] = mark
        while len(self._marks) > MOST_MARKS:  # of runs that another service saw ending
            del self._marks[next(iter(self._marks))]

    def _read(self, runs: Collection[str], best: Mapping[str, str]) -> dict[str, dict[Name, Value]]:
        """What some runs have logged; of a sweep's run, what its best trial has logged too."""
        of = {run: best[run] for run in runs if run in best}
        every = [*runs, *of.values()]
        found: dict[str, dict[Name, Value]] = {run: {} for run in every}
        for run, key, text in self._tracking.logged_params(every):
            found[run][FieldKind.PARAM, _name(key)] = Value(expressions.number(text), text[:TEXT_LENGTH])
        for one in self._tracking.latest(every):
            if is_system(one.key):
                continue  # nobody compares experiments by their machines' load, and each would have a dozen
            text = str(numbers.to_json(one.value))
            found[one.run][FieldKind.METRIC, _name(one.key)] = Value(expressions.number(text), text)
        return {run: _most_telling(found[run] | found.get(of.get(run, ""), {})) for run in runs}


def _portions(due: Sequence[Due], found: Mapping[str, Mapping[Name, Value]]) -> Iterator[list[Due]]:
    """Those that are stored in one transaction: while it writes, others wait, on SQLite all of them."""
    portion: list[Due] = []
    values = 0
    for one in due:
        values += len(found.get(one.experiment_id, ()))
        if portion and values > STORED_AT_ONCE:
            yield portion
            portion, values = [], len(found.get(one.experiment_id, ()))
        portion.append(one)
    if portion:
        yield portion


def _most_telling(values: dict[Name, Value]) -> dict[Name, Value]:
    """Of very many names those of the fewest parts: `val/loss` before `grad/layer.3.weight`."""
    if len(values) <= MOST_VALUES:
        return values
    names = sorted(values, key=lambda name: (name[1].count("/") + name[1].count("."), name))
    return {name: values[name] for name in names[:MOST_VALUES]}


def _name(key: str) -> str:
    """MariaDB takes names that differ in blanks at their end for one."""
    return key.rstrip() or " "


def _pause(one: Due, now: int) -> int:
    return int(min(LONGEST_MS, max(SHORTEST_MS, (now - one.accepted_ms) * OF_AGE)))
