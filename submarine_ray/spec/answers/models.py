"""Registered models and their versions."""

from __future__ import annotations

from operator import not_

from pydantic import Field, JsonValue

from submarine_ray.spec.answers.base import Answer, Number
from submarine_ray.spec.answers.provenance import Provenance


class RegisteredModel(Answer):
    """A registered model."""

    name: str
    """The model's name."""
    creation_time: str | None
    """When it was created, as `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When it was last changed, as `yyyy-MM-dd HH:mm:ss` in UTC."""
    description: str | None
    """A free-text description."""
    tags: list[str]
    """The model's tags."""
    aliases: dict[str, int] = Field(default_factory=dict, exclude_if=not_)
    """The version that each alias names; left out where there are none."""


class ModelVersion(Answer):
    """A version of a registered model."""

    name: str
    """The registered model's name."""
    version: int
    """The version's number, from 1."""
    id: str | None
    """The id of the saved model."""
    user_id: str
    """The user who registered it."""
    experiment_id: str | None
    """The experiment that trained it."""
    model_type: str | None
    """The library that saved it: pytorch, tensorflow, or another MLflow flavor."""
    current_stage: str
    """The stage: None, Developing, Production or Archived."""
    creation_time: str | None
    """When it was registered, as `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When it was last changed, as `yyyy-MM-dd HH:mm:ss` in UTC."""
    source: str | None
    """The MLflow URI of its files."""
    dataset: str | None
    """The data set that it was trained on."""
    description: str | None
    """A free-text description."""
    tags: list[str]
    """The version's tags."""
    aliases: list[str] = Field(default_factory=list, exclude_if=not_)
    """The model's aliases that name this version; left out where there are none."""


class ModelColumn(Answer):
    """A column or tensor of a model's inputs or outputs."""

    name: str | None
    """The column's name; null for a model's only tensor."""
    type: str
    """The MLflow type: double, long, string, float32..."""
    shape: list[int] | None
    """Tensors only: the shape, with -1 for a dimension of any size."""
    required: bool
    """Whether a request must contain it."""


class ModelSignature(Answer):
    """The inputs and outputs of a model version; empty lists if it was saved without a signature."""

    inputs: list[ModelColumn]
    """The columns or tensors that the model takes."""
    outputs: list[ModelColumn]
    """The columns or tensors that the model returns."""
    example: dict[str, JsonValue] | None
    """A request body for the invocations URL: the saved example, or zeros."""


class ModelFiles(Answer):
    """Facts about the files of a saved model."""

    flavors: list[str]
    """The MLflow flavors that can load it, such as python_function and sklearn."""
    size_bytes: int | None
    """The size of its files in bytes; null if it was not noted when the model was saved."""
    mlflow_version: str | None
    """The version of MLflow that saved it."""
    python_version: str | None
    """The version of Python that it was saved with."""
    requirements: list[str]
    """The Python packages that it needs; at most 200."""


class ModelVersionDetails(Answer):
    """The metrics and parameters of the run that saved a version, and facts about its files."""

    name: str
    """The registered model's name."""
    version: int
    """The version's number."""
    metrics: dict[str, Number]
    """The last value of each metric of the run that saved it."""
    params: dict[str, str]
    """The parameters of that run."""
    files: ModelFiles | None
    """Its files; null if they cannot be read now."""


class DatasetInput(Answer):
    """Data that a run has logged as its input with `mlflow.log_input`."""

    name: str
    """The dataset's name."""
    digest: str
    """A hash of its content, as MLflow computed it."""
    source_type: str
    """The kind of its source: local, http, s3, code..."""
    source: str
    """Where it comes from, as JSON; at most 500 characters."""
    context: str | None
    """Its use, such as training."""


class ModelLineage(Answer):
    """The lineage of a version: where it comes from, and where it is used."""

    run_id: str | None
    """The MLflow run that saved it."""
    experiment_id: str | None
    """The experiment that it comes from."""
    trial_id: str | None
    """The trial, if the experiment is a sweep."""
    ran: Provenance | None
    """The code and the software that the experiment's attempt ran with; null if the experiment was deleted."""
    datasets: list[DatasetInput]
    """The data that the run has logged as its inputs."""
    endpoint: str | None
    """The endpoint that serves it, and its cluster; null if none does."""
    used_by: list[str]
    """Other experiments whose runs have logged the model as their input."""
