"""Sweeps: a trial is stopped while the others go on, and more samples are added, to one that runs or has ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from submarine_ray.admission.service import Admission
from submarine_ray.clusters.service import ClusterService, LastSeen
from submarine_ray.core import events
from submarine_ray.core.changes import Changes
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, InvalidSpec, NotFound, SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.experiments import answers, repository, sweep_decide, sweep_rows, tried
from submarine_ray.experiments.results import ResultService
from submarine_ray.experiments.sweep_decide import GoOn, Refuse, Step, Sweep
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.answers.experiments import Experiment, Trial
from submarine_ray.spec.answers.sweeps import SweepWishes
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.experiment import ExperimentStatus as Status

UNHEARD_SECONDS = 10.0


@dataclass(frozen=True)
class Asked:
    """What a driver has been told and has done: its job, the samples that it makes, and the last answer's version."""

    submission: str
    samples: int
    version: str = ""


class SweepService:
    """`row` finds an experiment by its id; it raises NotFound. `wake` is called when the engine has new work."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        admission: Admission,
        results: ResultService,
        changes: Changes,
        row: Callable[[str], ExperimentRow],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._admission = admission
        self._results = results
        self._changes = changes
        self._row = row
        self._wake = wake

    def stop_trial(self, experiment_id: str, trial_id: str) -> Trial:
        """Ask one trial to end; the sweep goes on. Asking twice is no error.

        Raises NotFound, and Conflict if the trial or the sweep has ended.
        """
        sweep = _sweep(self._row(experiment_id))
        trials, _ = self._results.trials(experiment_id)
        trial = next((one for one in trials if one.trial_id == trial_id), None)
        step = sweep_decide.stop(sweep, trial_id, trial.status if trial else None)
        if trial is None or isinstance(step, Refuse):
            raise _refusal(step)
        with self._database.session(write=True) as session:
            # Held: two requests write one row, and none is left of an experiment that is deleted at this moment.
            if repository.find(session, experiment_id, lock=True) is None:
                raise NotFound(f"{experiment_id} was deleted at this moment.")
            if sweep_rows.stop(session, experiment_id, trial_id):
                said = f"A user asked trial {trial.number} ({trial_id}) to stop."
                events.record(session, experiment_id, [Event("TrialStopAsked", said)])
        self._changes.tell(experiment_id)
        return trial

    def extend(self, experiment_id: str, samples: int) -> Experiment:
        """Add samples to a sweep: the one that runs makes them too, and one that has ended goes on with what it knows.

        Raises NotFound, InvalidSpec, and Conflict if the experiment is no sweep, or a grid that is tried as a whole.
        """
        there = self._place(self._row(experiment_id), samples)
        with self._database.session(write=True) as session:
            row = repository.find(session, experiment_id, lock=True) or self._row(experiment_id)
            spec = answers.stored_spec(row)
            step = sweep_decide.extend(_sweep(row, spec), samples)
            if isinstance(step, Refuse) or spec.tune is None:
                raise _refusal(step)
            spec.tune.num_samples = row.unheard_samples = step.num_samples
            said = f"A user extended the sweep by {samples}, to {spec.tune.trials} trials."
            happened = Event("Extended", said)
            if there is not None:
                row.units = self._admission.placements.most_trials(there, spec)
            if isinstance(step, GoOn):
                if there is None:
                    raise Conflict(f"{experiment_id} has just ended; try again.")
                repository.keep_attempt(session, row, tried.outcome(row), f"logs/attempt-{row.attempt}")
                happened = _next_attempt(row, said)
            row.spec = answers.kept(spec)
            row.generation += 1
            events.record(session, row.id, [happened])
        self._wake()
        self._changes.tell(experiment_id)
        return answers.whole(row)

    def _place(self, row: ExperimentRow, samples: int) -> LastSeen | None:
        """The cluster of a sweep that goes on after its end, or still waits for its place; None for one that has its
        place already. Raises InvalidSpec.
        """
        spec = answers.stored_spec(row)
        step = sweep_decide.extend(_sweep(row, spec), samples)
        if isinstance(step, Refuse) or row.status not in (Status.ACCEPTED, *Status.ENDED):
            return None
        there = self._clusters.check_experiment(row.cluster, spec, answers.stored_environment(row))
        self._admission.placements.check_demand(there, spec)
        return there

    async def wishes(self, experiment_id: str, asked: Asked, patience: float) -> SweepWishes:
        """What users want of the sweep, as soon as it differs from the version that its driver knows, or after
        `patience` seconds. Raises NotFound, Conflict for a driver that another has followed.
        """
        until = time.monotonic() + patience
        with self._changes.heard(experiment_id) as changed:
            while True:
                changed.clear()
                found = await asyncio.to_thread(self._wishes, experiment_id, asked)
                left = until - time.monotonic()
                if found.version != asked.version or left <= 0:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, UNHEARD_SECONDS))

    def _wishes(self, experiment_id: str, asked: Asked) -> SweepWishes:
        row = self._row(experiment_id)
        sweep = _sweep(row)
        if sweep.tune is None or asked.submission != row.submission_id:
            raise Conflict(f"{asked.submission[:120]} is not the current attempt of a sweep.")
        with self._database.session() as session:
            stopped = sweep_rows.stopped(session, experiment_id)
        if row.unheard_samples is not None and asked.samples >= row.unheard_samples:
            with self._database.session(write=True) as session:
                sweep_rows.heard(session, experiment_id, row.attempt, asked.samples)
        return SweepWishes.of(sweep.tune.num_samples, stopped)

    def stopping(self, experiment_id: str) -> frozenset[str]:
        """The trials that users have stopped, whether or not they have ended."""
        with self._database.session() as session:
            return frozenset(sweep_rows.stopped(session, experiment_id))


def _next_attempt(row: ExperimentRow, said: str) -> Event:
    """Let the next attempt begin, in the same run, as a retry does; the event that tells of it."""
    status = row.status
    row.superseded = f"{row.superseded} {row.submission_id}".strip()
    row.attempt += 1
    row.failures = 0
    row.wanted, row.status, row.archived = "run", Status.ACCEPTED, False
    row.reason = row.message = row.incarnation = None
    row.created_ms = row.running_ms = row.finished_ms = row.deadline_ms = None
    row.next_check_ms = due_ms()
    return Event("Extended", f"{said} Attempt {row.attempt} continues it.", status, Status.ACCEPTED)


def _sweep(row: ExperimentRow, spec: ExperimentSpec | None = None) -> Sweep:
    return Sweep(row.id, row.status, row.wanted, (spec or answers.stored_spec(row)).tune)


def _refusal(step: Step) -> SubmarineError:
    match step:
        case Refuse(message, "trial"):
            return NotFound(message)
        case Refuse(message, None):
            return Conflict(message)
        case Refuse(message, field):
            return InvalidSpec(message, field)
    raise AssertionError(step)
