"""What is compared: experiments, attempts of one, or trials of a sweep, looked at alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.experiments import Attempt, Experiment, Trial
from submarine_ray.spec.answers.provenance import Provenance
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.workbench.services import Services

Value = TypeVar("Value")


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
    provenance: Provenance | None = None

    @property
    def label(self) -> str:
        """A name that no other has: several experiments may have one name."""
        return f"{self.name} ({self.id[-4:]})"


@dataclass(frozen=True)
class _Reference:
    """`experiment`, an attempt of it (`experiment@2`), or a trial of either (`experiment/trial`)."""

    experiment_id: str
    attempt: int | None
    trial_id: str

    @classmethod
    def of(cls, id: str) -> _Reference:
        which, _, trial_id = id.partition("/")
        experiment_id, _, number = which.partition("@")
        attempt = int(number) if number.isdecimal() and len(number) < 9 else None
        return cls(experiment_id, attempt, trial_id)


@dataclass
class _Looked:
    """What is read once for all that is compared."""

    services: Services
    experiments: Mapping[str, Experiment]
    provenances: Mapping[str, Provenance]
    params: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    latest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    trials: dict[tuple[str, int | None], dict[str, Trial]] = field(default_factory=dict)

    def attempt(self, of: _Reference) -> Attempt | None:
        """An earlier attempt, or the current one by its number."""
        if of.experiment_id not in self.attempts:
            self.attempts[of.experiment_id] = self.services.experiments.attempts.all(of.experiment_id)
        return next((one for one in self.attempts[of.experiment_id] if one.attempt == of.attempt), None)

    def trial(self, of: _Reference) -> Trial | None:
        sweep = of.experiment_id, of.attempt
        if sweep not in self.trials:
            found, _ = self.services.experiments.results.trials(*sweep)
            self.trials[sweep] = {one.trial_id: one for one in found}
        return self.trials[sweep].get(of.trial_id)

    def provenance(self, of: _Reference) -> Provenance | None:
        if of.attempt is None:
            return self.provenances.get(of.experiment_id)
        return self.services.experiments.provenance.get(of.experiment_id, of.attempt)


def look(services: Services, ids: Sequence[str]) -> list[Compared | None]:
    """Each of some experiments, attempts (`experiment@2`) or trials of either (`experiment/trial`); None for what does
    not exist. The number of queries does not grow with the number of experiments.
    """
    references = [_Reference.of(id) for id in ids]
    names = list(dict.fromkeys(one.experiment_id for one in references))
    looked = _Looked(services, services.experiments.several(names), services.experiments.provenance.several(names))
    runs = {of: run for of in references if not of.trial_id and (run := _run(looked, of))}
    looked.params = _by_run(services.tracking.logged_params(set(runs.values())))
    looked.latest = _by_run((one.run, one.key, one.value) for one in services.tracking.latest(set(runs.values())))
    return [_compared(looked, of, runs.get(of)) for of in references]


def _run(looked: _Looked, of: _Reference) -> str | None:
    found = looked.experiments.get(of.experiment_id)
    shown = looked.attempt(of) if found and of.attempt else found
    return shown.run_id if shown else None


def _by_run(rows: Iterable[tuple[str, str, Value]]) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {}
    for run, key, value in rows:
        found.setdefault(run, {})[key] = value
    return found


def _compared(looked: _Looked, of: _Reference, run: str | None) -> Compared | None:
    found = looked.experiments.get(of.experiment_id)
    try:
        if found is None:
            return None
        if of.trial_id:
            return _trial(looked, found, of)
        shown = looked.attempt(of) if of.attempt else found
        if shown is None:
            return None
        name = f"{found.name}, attempt {of.attempt}" if of.attempt else found.name
        params, latest = looked.params.get(run or "", {}), looked.latest.get(run or "", {})
        return Compared(found.experiment_id, name, shown.spec, run, shown.seen, params, latest, looked.provenance(of))
    except NotFound:  # deleted meanwhile
        return None


def _trial(looked: _Looked, sweep: Experiment, of: _Reference) -> Compared | None:
    trial = looked.trial(of)
    if trial is None:
        return None
    return Compared(
        sweep.experiment_id,
        f"trial {trial.number}",
        sweep.spec,
        trial.run_id,
        trial.status,
        trial.params,
        trial.metrics,
        looked.provenance(of),
    )
