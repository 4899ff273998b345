"""Stored environments, as in Submarine's API. Source: Submarine's "Environment REST API"."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from submarine_ray.spec.base import ENVIRONMENT_NAME_LENGTH, Document, check_name
from submarine_ray.spec.experiment import EnvironmentSpec, KernelSpec

EnvironmentName = Annotated[str, AfterValidator(lambda v: check_name(v, "an environment", ENVIRONMENT_NAME_LENGTH))]


class NewEnvironment(EnvironmentSpec):
    """An environment to store."""

    name: EnvironmentName
    """1 to 128 letters, digits, `-`, `_` or `.`. Experiments and notebooks refer to it by this name."""


class EnvironmentPatch(Document):
    """Changes of a stored environment. Fields that are left out stay as they are."""

    name: str | None = None
    """The environment's own name, or nothing: environments cannot be renamed."""
    docker_image: str | None = None
    """The container image."""
    kernel_spec: KernelSpec | None = None
    """The packages. Fields that are left out stay as they are."""
    description: str | None = None
    """A free-text description."""
    image: str | None = None
    """Another spelling of `dockerImage`."""
