"""Registered models and their versions, in Submarine's words."""

from __future__ import annotations

from pydantic import Field

from submarine_ray.spec.base import Document, Version
from submarine_ray.spec.experiment import MAX_TAGS, Tag
from submarine_ray.spec.serving import ModelName


class RegisteredModelSpec(Document):
    """A model to register."""

    name: ModelName
    """1 to 128 letters, digits, `-`, `_` or `.`."""
    description: str | None = Field(default=None, max_length=5000)
    """For people."""
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    """Words to find it by."""


class RegisteredModelPatch(Document):
    """What to change of a registered model: `name` renames it; what is null stays."""

    name: ModelName | None = None
    """A new name; versions and tags follow."""
    description: str | None = Field(default=None, max_length=5000)
    """A new description."""


class ModelVersionSpec(Document):
    """A version to register from what an experiment saved."""

    name: ModelName
    """The model; made if there is none of that name."""
    experiment_id: str
    """The experiment that saved it: its lineage."""
    user_id: str | None = None
    """Kept and answered."""
    description: str | None = Field(default=None, max_length=5000)
    """For people."""
    current_stage: str | None = None
    """None, Developing, Production or Archived, in any case."""
    dataset: str | None = Field(default=None, max_length=256)
    """What it was trained on."""
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    """Words to find it by."""


class ModelVersionPatch(Document):
    """What to change of a version; what is null stays."""

    name: ModelName
    """The model."""
    version: Version
    """Which of its versions."""
    description: str | None = Field(default=None, max_length=5000)
    """A new description."""
    current_stage: str | None = None
    """None, Developing, Production or Archived, in any case."""
    dataset: str | None = Field(default=None, max_length=256)
    """What it was trained on."""
