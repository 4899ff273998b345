"""Environments."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.experiment import EnvironmentSpec


class Environment(Answer):
    """A stored environment."""

    environment_id: str
    """Its id."""
    environment_spec: EnvironmentSpec
    """What it consists of."""
