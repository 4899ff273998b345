"""Environments."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.experiment import EnvironmentSpec


class Environment(Answer):
    """A stored environment."""

    environment_id: str
    """The environment's id."""
    environment_spec: EnvironmentSpec
    """The environment's image and packages."""
