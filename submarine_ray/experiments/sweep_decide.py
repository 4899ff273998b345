"""Decides what becomes of a request to stop a trial, or to extend a sweep. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.trials import TrialState
from submarine_ray.spec.tune import MAX_TRIALS, TuneSpec


@dataclass(frozen=True)
class Sweep:
    """A sweep as its row has it; `tune` is None for an experiment that is no sweep."""

    experiment_id: str
    status: str
    wanted: str
    tune: TuneSpec | None


class Step:
    """What to do about the request."""


@dataclass(frozen=True)
class Refuse(Step):
    """Say no, and why. `field` is the part of the request that is wrong; without one, the state forbids it."""

    message: str
    field: str | None = None


@dataclass(frozen=True)
class TellDriver(Step):
    """Note the wish: the driver that runs asks for it, and one that starts later is given it."""

    num_samples: int


@dataclass(frozen=True)
class GoOn(Step):
    """Begin an attempt that goes on where the sweep ended."""

    num_samples: int


def stop(sweep: Sweep, trial_id: str, trial_status: str | None) -> Refuse | TellDriver:
    """What becomes of a request to stop a trial; `trial_status` is None if the sweep has no such trial."""
    id = sweep.experiment_id
    if sweep.tune is None:
        return Refuse(_no_sweep(id))
    if trial_status is None:
        return Refuse(f"{id} has no trial {trial_id[:80]!r}.", "trial")
    if trial_status in TrialState.ENDED:
        return Refuse(f"Trial {trial_id} of {id} has ended already ({trial_status}).")
    if sweep.status in Status.ENDED:
        return Refuse(f"{id} has ended already ({sweep.status}), with all its trials.")
    if sweep.wanted != "run":
        return Refuse(f"{id} is being stopped, with all its trials.")
    return TellDriver(sweep.tune.num_samples)


def extend(sweep: Sweep, samples: int) -> Refuse | TellDriver | GoOn:
    """What becomes of a request for more samples."""
    id, tune = sweep.experiment_id, sweep.tune
    if tune is None:
        return Refuse(_no_sweep(id))
    if tune.algorithm == "grid":
        return Refuse(
            f"{id} is a grid search over {tune.trials} combinations, and has no more samples. "
            "To try other values, rerun it with more values, or with another algorithm."
        )
    if tune.num_samples + samples > MAX_TRIALS:
        most = f"at most {MAX_TRIALS - tune.num_samples} can be added ({MAX_TRIALS} in all)"
        return Refuse(f"{id} has {tune.num_samples} samples; {most}", "samples")
    if sweep.status in Status.ENDED:
        return GoOn(tune.num_samples + samples)
    if sweep.wanted != "run":
        return Refuse(f"{id} is being stopped; extend it once it has ended.")
    return TellDriver(tune.num_samples + samples)


def _no_sweep(id: str) -> str:
    return f"{id} is not a sweep: its spec has no tune."
