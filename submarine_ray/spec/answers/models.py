"""Registered models and their versions."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer


class RegisteredModel(Answer):
    """A registered model."""

    name: str
    """Its name."""
    creation_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    description: str | None
    """For people."""
    tags: list[str]
    """Words to find it by."""


class ModelVersion(Answer):
    """A version of a registered model."""

    name: str
    """The model."""
    version: int
    """Which version, from 1 on."""
    id: str | None
    """Of the saved model."""
    user_id: str
    """Who registered it."""
    experiment_id: str | None
    """What trained it."""
    model_type: str | None
    """pytorch, tensorflow, or MLflow's name of another kind."""
    current_stage: str
    """None, Developing, Production or Archived."""
    creation_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    source: str | None
    """Where its files are, as MLflow writes it."""
    dataset: str | None
    """What it was trained on."""
    description: str | None
    """For people."""
    tags: list[str]
    """Words to find it by."""


class ModelColumn(Answer):
    """A column or tensor that a model takes or gives."""

    name: str | None
    """Its name; a model's only tensor may have none."""
    type: str
    """MLflow's name of its type: double, long, string, float32..."""
    shape: list[int] | None
    """Of a tensor; -1 for any size."""
    required: bool
    """Whether a request must have it."""


class ModelSignature(Answer):
    """What a model version takes and gives; empty where it was saved without a signature."""

    inputs: list[ModelColumn]
    """What it takes."""
    outputs: list[ModelColumn]
    """What it gives."""
    example: dict[str, JsonValue] | None
    """A body for /invocations: what was saved as an example, else zeros."""
