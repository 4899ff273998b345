"""Registered models and their versions, in Submarine's words."""

from __future__ import annotations

from pydantic import Field

from submarine_ray.spec.base import Document, Text
from submarine_ray.spec.serving import ModelName


class RegisteredModelSpec(Document):
    """A model to register."""

    name: ModelName
    description: str | None = Field(default=None, max_length=5000)
    tags: list[Text] = Field(default_factory=list)


class ModelVersionSpec(Document):
    """A version to register from what an experiment saved."""

    name: ModelName
    experiment_id: str
    user_id: str | None = None
    description: str | None = Field(default=None, max_length=5000)
    current_stage: str | None = None
    dataset: str | None = Field(default=None, max_length=256)
    tags: list[Text] = Field(default_factory=list)
