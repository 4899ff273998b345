"""Stored environments, in Submarine's words. Source: Submarine's "Environment REST API"."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from submarine_ray.spec.base import ENVIRONMENT_NAME_LENGTH, Document, check_name
from submarine_ray.spec.experiment import EnvironmentSpec, KernelSpec

EnvironmentName = Annotated[str, AfterValidator(lambda v: check_name(v, "an environment", ENVIRONMENT_NAME_LENGTH))]


class NewEnvironment(EnvironmentSpec):
    """An environment to store."""

    name: EnvironmentName
    """What experiments and notebooks call it: 1 to 128 letters, digits, `-`, `_` or `.`."""


class EnvironmentPatch(Document):
    """What to change of a stored environment; what is not named stays. `name` is its own: it cannot be renamed."""

    name: str | None = None
    """The environment's own name, or nothing."""
    docker_image: str | None = None
    """The container image."""
    kernel_spec: KernelSpec | None = None
    """Packages; parts that are not named stay."""
    description: str | None = None
    """For people."""
    image: str | None = None
    """The same as dockerImage."""
