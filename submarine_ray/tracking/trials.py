"""A sweep's trials, as MLflow has them: runs below the sweep's own."""

from __future__ import annotations

from collections.abc import Sequence

from submarine_ray.core.clock import iso
from submarine_ray.spec.answers.experiments import Trial
from submarine_ray.spec.json_types import JsonObject, object_in, read_foreign
from submarine_ray.spec.numbers import stored
from submarine_ray.spec.system_metrics import is_system
from submarine_ray.spec.tags import (
    CHECKPOINT_TAG,
    EXPERIMENT_TAG,
    IS_TRIAL_TAG,
    MESSAGE_TAG,
    PARAMS_TAG,
    REGISTERED_TAG,
    STATE_TAG,
    SWEEP_NAME_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
)
from submarine_ray.spec.trials import TrialState
from submarine_ray.tracking import families
from submarine_ray.tracking.entities import Client, Run
from submarine_ray.tracking.paged import every


def runs(client: Client, run_id: str) -> list[Run]:
    """The runs of a sweep's trials and of their replicas, in the order they began; `client` is MLflow's."""
    run = client.get_run(run_id)
    experiment_id = run.data.tags.get(EXPERIMENT_TAG)
    if experiment_id is None:
        return []
    of_sweep = f"tags.`{SWEEP_TAG}` = '{experiment_id}'"
    found = every(client.search_runs, [run.info.experiment_id], of_sweep, order_by=["attributes.start_time ASC"])
    return families.below(run_id, found)


def documents(found: Sequence[Run]) -> list[Trial]:
    """What users are shown of the newest sweep's trials."""
    of_trials = [run for run in found if IS_TRIAL_TAG in run.data.tags]
    newest = of_trials[-1].data.tags.get(SWEEP_NAME_TAG) if of_trials else None
    of_newest = [run for run in of_trials if run.data.tags.get(SWEEP_NAME_TAG) == newest]
    return [_trial(number, run) for number, run in enumerate(of_newest, start=1)]


def of_trial(found: Sequence[Run], trial_id: str) -> list[Run]:
    """Those of a sweep's runs that are a trial's, its own first."""
    mine = [run for run in found if run.data.tags.get(TRIAL_TAG, run.info.run_id) == trial_id]
    return sorted(mine, key=lambda run: IS_TRIAL_TAG not in run.data.tags)


def _trial(number: int, run: Run) -> Trial:
    tags, info = run.data.tags, run.info
    status = tags.get(STATE_TAG, TrialState.RUNNING)
    # One that goes on after its sweep had been stopped still has the time of that.
    ended = None if status == TrialState.RUNNING else info.end_time
    return Trial(
        trial_id=tags.get(TRIAL_TAG, info.run_id),
        number=number,
        status=status,
        message=tags.get(MESSAGE_TAG) or None,
        params=_params(tags.get(PARAMS_TAG, "{}")),
        metrics={key: stored(value) for key, value in sorted(run.data.metrics.items()) if not is_system(key)},
        checkpoint=tags.get(CHECKPOINT_TAG),
        model_version=tags.get(REGISTERED_TAG),
        run_id=info.run_id,
        started_time=_time(info.start_time),
        finished_time=_time(ended),
        seconds=round((ended - info.start_time) / 1000, 3) if ended else None,
    )


# Scripts may write tags and times of their runs by themselves: an odd one hides no other trial.


def _params(text: str) -> JsonObject:
    try:
        return object_in(read_foreign(text))
    except ValueError:
        return {}


def _time(ms: int | None) -> str | None:
    try:
        return iso(ms)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return None
