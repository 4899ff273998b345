"""What is compared: experiments, attempts of one, or trials of a sweep, looked at alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services


@dataclass(frozen=True)
class Compared:
    """What is known of an experiment, or of a sweep's trial."""

    id: str
    name: str
    spec: ExperimentSpec
    run: str | None
    status: str
    params: Mapping[str, object]
    latest: Mapping[str, float]

    @property
    def label(self) -> str:
        """A name that no other has: several experiments may have one name."""
        return f"{self.name} ({self.id[-4:]})"


async def look(services: Services, id: str) -> Compared | None:
    """Of an experiment, an attempt of it (`experiment@2`), or a trial of either (`experiment/trial`); None if it is
    not there.
    """
    which, _, trial_id = id.partition("/")
    experiment_id, _, number = which.partition("@")
    attempt = int(number) if number.isdecimal() and len(number) < 9 else None
    try:
        found = await run_query(services.experiments.get, experiment_id)
        if trial_id:
            return await _look_at_trial(services, found, trial_id, attempt)
        if attempt:
            return await asyncio.to_thread(_look_at_attempt, services, found, attempt)
        return await asyncio.to_thread(_look_at_experiment, services, found)
    except NotFound:
        return None


def _look_at_attempt(services: Services, found: Experiment, number: int) -> Compared | None:
    attempts = services.experiments.attempts.all(found.experiment_id)
    shown = next((one for one in attempts if one.attempt == number), None)
    if shown is None:
        return None
    column = _look_at_experiment(services, found, number)
    return replace(column, name=f"{found.name}, attempt {number}", spec=shown.spec, status=shown.seen)


def _look_at_experiment(services: Services, found: Experiment, attempt: int | None = None) -> Compared:
    id = found.experiment_id
    runs = services.experiments.results.runs(id, attempt)
    own = next(iter(runs), None)
    logged = services.experiments.results.params(id, attempt)
    params = {one.key: one.value for one in logged if own and one.replica == runs[own]}
    latest = {one.key: one.value for one in services.tracking.latest([own])} if own else {}
    return Compared(id, found.name, found.spec, own, found.seen, params, latest)


async def _look_at_trial(services: Services, sweep: Experiment, trial_id: str, attempt: int | None) -> Compared | None:
    trials, _ = await run_query(services.experiments.results.trials, sweep.experiment_id, attempt)
    trial = next((one for one in trials if one.trial_id == trial_id), None)
    if trial is None:
        return None
    name = f"trial {trial.number}"
    return Compared(sweep.experiment_id, name, sweep.spec, trial.run_id, trial.status, trial.params, trial.metrics)
