"""How the trials of a sweep are kept: as runs below the experiment's, with tags. Plain Python, for both sides."""

from __future__ import annotations

import math

EXPERIMENT_TAG = "submarine.experiment_id"
# Of runs that a script starts itself: the replica that it ran in.
STARTED_BY_TAG = "submarine.started_by"
SWEEP_TAG = "submarine.sweep_id"
TRIAL_TAG = "submarine.trial_id"
IS_TRIAL_TAG = "submarine.is_trial"
# Which of the experiment's sweeps: a patch begins a new one.
SWEEP_NAME_TAG = "submarine.sweep_name"
STATE_TAG = "submarine.trial_state"
MESSAGE_TAG = "submarine.trial_message"
PARAMS_TAG = "submarine.trial_params"
CHECKPOINT_TAG = "submarine.checkpoint"
REGISTERED_TAG = "submarine.registered_version"


class TrialState:
    """The states of a trial. Stopped: by the scheduler, a stop rule or the end of the sweep."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    STOPPED = "Stopped"
    FAILED = "Failed"
    ENDED = frozenset({SUCCEEDED, STOPPED, FAILED})


def run_tags(experiment_id: str, trial_id: str | None) -> dict[str, str]:
    """What a run and those below it are found by. Trials' have their own, so that they stay apart."""
    if trial_id:
        return {SWEEP_TAG: experiment_id, TRIAL_TAG: trial_id}
    return {EXPERIMENT_TAG: experiment_id}


def rank(value: float | None, mode: str) -> float:
    """Sorts trials: the best metric first, last those without one and those that diverged (NaN, an infinity)."""
    if value is None or not math.isfinite(value):
        return math.inf
    return -value if mode == "max" else value
