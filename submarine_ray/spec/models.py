"""Registered models and their versions, as in Submarine's API."""

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
    """A free-text description."""
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    """Words to find the model by."""


class RegisteredModelPatch(Document):
    """Changes of a registered model. Fields that are null or left out stay as they are."""

    name: ModelName | None = None
    """A new name. Versions and tags move with it."""
    description: str | None = Field(default=None, max_length=5000)
    """A new description."""


class ModelAliasSpec(Document):
    """Which version an alias names. An alias that names another version is moved."""

    version: Version
    """The version's number."""


class ModelVersionSpec(Document):
    """A new version of a registered model, from a model that an experiment saved."""

    name: ModelName
    """The registered model's name. A model that does not exist is created."""
    experiment_id: str
    """The experiment that saved the model."""
    trial_id: str | None = None
    """The trial of it that saved the model, if it is a sweep."""
    user_id: str | None = None
    """The user who registers it. Stored and returned."""
    description: str | None = Field(default=None, max_length=5000)
    """A free-text description."""
    current_stage: str | None = None
    """The stage: None, Developing, Production or Archived, in upper or lower case."""
    dataset: str | None = Field(default=None, max_length=256)
    """The data set that it was trained on."""
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    """Words to find the version by."""


class ModelVersionPatch(Document):
    """Changes of a version. Fields that are null or left out stay as they are."""

    name: ModelName
    """The registered model's name."""
    version: Version
    """The version's number."""
    description: str | None = Field(default=None, max_length=5000)
    """A new description."""
    current_stage: str | None = None
    """A new stage: None, Developing, Production or Archived, in upper or lower case."""
    dataset: str | None = Field(default=None, max_length=256)
    """The data set that it was trained on."""
