"""Registered models and their versions, in Submarine's words."""

from __future__ import annotations

from pydantic import Field

from submarine_ray.spec.base import Document
from submarine_ray.spec.experiment import MAX_TAGS, Tag
from submarine_ray.spec.serving import ModelName


class RegisteredModelSpec(Document):
    """A model to register."""

    name: ModelName
    description: str | None = Field(default=None, max_length=5000)
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)


class RegisteredModelPatch(Document):
    """What to change of a registered model: `name` renames it; what is null stays."""

    name: ModelName | None = None
    description: str | None = Field(default=None, max_length=5000)


class ModelVersionSpec(Document):
    """A version to register from what an experiment saved."""

    name: ModelName
    experiment_id: str
    user_id: str | None = None
    description: str | None = Field(default=None, max_length=5000)
    current_stage: str | None = None
    dataset: str | None = Field(default=None, max_length=256)
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)


class ModelVersionPatch(Document):
    """What to change of a version; what is null stays."""

    name: ModelName
    version: int = Field(ge=1)
    description: str | None = Field(default=None, max_length=5000)
    current_stage: str | None = None
    dataset: str | None = Field(default=None, max_length=256)
