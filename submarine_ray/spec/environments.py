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


class EnvironmentPatch(Document):
    """What to change of a stored environment; what is not named stays. `name` is its own: it cannot be renamed."""

    name: str | None = None
    docker_image: str | None = None
    kernel_spec: KernelSpec | None = None
    description: str | None = None
    image: str | None = None
