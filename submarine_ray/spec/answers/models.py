"""Registered models and their versions."""

from __future__ import annotations

from operator import not_

from pydantic import Field, JsonValue

from submarine_ray.spec.answers.base import Answer


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
