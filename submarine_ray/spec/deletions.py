"""What is told of deletions."""

from __future__ import annotations

from enum import StrEnum

from submarine_ray.spec.answers.base import Answer


class DeletedKind(StrEnum):
    """The kind of a deleted resource."""

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
    """A record of a deletion."""

    time: str
    """When it was deleted (ISO 8601)."""
    kind: DeletedKind
    """The kind of resource that was deleted."""
    id: str
    """The resource's id, or its name if it has no id."""
    name: str
    """The resource's name."""
    by: str
    """Who deleted it: how an administrator signed in, a notebook's id, or `service`."""
    by_kind: str
    """What deleted it: administrator, notebook, attempt, endpoint or service."""
