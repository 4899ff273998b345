"""The names of what is kept as MLflow's tags, and in the metadata of Ray's jobs. Plain Python, for both sides.

A name stands here and nowhere else: what one part writes, another finds.
"""

from __future__ import annotations

# Of runs.
EXPERIMENT_TAG = "submarine.experiment_id"
REPLICA_TAG = "submarine.replica"
FRAMEWORK_TAG = "submarine.framework"
CLUSTER_TAG = "submarine.cluster"
# Of runs that a script starts itself: the replica that it ran in.
STARTED_BY_TAG = "submarine.started_by"

# Of the runs of a sweep's trials.
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
# The beginning of the names of what a trial remembers of the model that it saved.
SAVED_MODEL_TAGS = "submarine.saved_model."

# Of registered models and their versions.
STAGE_TAG = "submarine.stage"
DATASET_TAG = "submarine.dataset"
MODEL_TYPE_TAG = "submarine.model_type"
MODEL_ID_TAG = "submarine.model_id"
USER_TAG = "submarine.user"
# The beginning of the names that hold users' own tags.
USER_TAGS = "submarine.tag."

# MLflow's own, which its pages know.
PARENT_TAG = "mlflow.parentRunId"
RUN_NAME_TAG = "mlflow.runName"
SOURCE_TAG = "mlflow.source.name"
# Of a dataset that a run has logged: what it was for, such as training.
DATA_CONTEXT_TAG = "mlflow.data.context"
# They look for images where the first is, and for the tables that the second lists.
IMAGES_TAG = "mlflow.loggedImages"
TABLES_TAG = "mlflow.loggedArtifacts"

# In the metadata of Ray's jobs.
JOB_EXPERIMENT = "submarine.experiment"
JOB_NOTEBOOK = "submarine.notebook"
JOB_NAME = "submarine.name"


def run_tags(experiment_id: str, trial_id: str | None) -> dict[str, str]:
    """What a run and those below it are found by. Trials' have their own, so that they stay apart."""
    if trial_id:
        return {SWEEP_TAG: experiment_id, TRIAL_TAG: trial_id}
    return {EXPERIMENT_TAG: experiment_id}
