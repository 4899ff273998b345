"""What is told of deletions."""

from __future__ import annotations

from enum import StrEnum

from submarine_ray.spec.answers.base import Answer


class DeletedKind(StrEnum):
    """What can be deleted."""

    EXPERIMENT = "experiment"
    NOTEBOOK = "notebook"
    ENVIRONMENT = "environment"
    TEMPLATE = "template"
    MODEL = "model"
    MODEL_VERSION = "model-version"
    ENDPOINT = "endpoint"
    CLUSTER = "cluster"
    PACKAGE = "package"
    # By MLflow's own API and pages.
    RUN = "run"
    MLFLOW_EXPERIMENT = "mlflow-experiment"
    LOGGED_MODEL = "logged-model"
    DATASET = "dataset"
    TRACES = "traces"
    ARTIFACT = "artifact"


class Deletion(Answer):
    """One deletion."""

    time: str
    """When, ISO 8601."""
    kind: DeletedKind
    """Of what kind it was."""
    id: str
    """Its id; its name where that is its id."""
    name: str
    """Its name."""
    by: str
    """Who deleted it: how an administrator signed in, a notebook's id, `service` for the service itself."""
    by_kind: str
    """administrator, notebook, attempt, endpoint or service."""
