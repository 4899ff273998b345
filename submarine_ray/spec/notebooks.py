"""Notebooks, as in Submarine's API.

Source: Submarine's "Notebook REST API"; `cluster` and `idleSeconds` are additions.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from submarine_ray.spec.base import NAME_LENGTH, Document, Text, is_none
from submarine_ray.spec.experiment import EnvironmentSpec
from submarine_ray.spec.quantities import Resources, parse_resources
from submarine_ray.spec.variables import HasVariables, Variables

# Of a Kubernetes object, as Submarine's notebook page asks for.
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
OWNER_LENGTH = 64
LABEL_LENGTH = 256
MAX_LABELS = 64
MAX_IDLE_SECONDS = 365 * 24 * 3600


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > NAME_LENGTH:
        raise ValueError(
            f"{value[:80]!r} cannot be a notebook's name or namespace: use 1 to {NAME_LENGTH} lower case letters, "
            "digits and '-', beginning with a letter and ending with a letter or digit"
        )
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_LABELS or any(len(text) > LABEL_LENGTH for item in value.items() for text in item):
        raise ValueError(f"at most {MAX_LABELS} labels, each of at most {LABEL_LENGTH} characters")
    return value


class NotebookMeta(Document):
    """The notebook's name and owner."""

    name: Annotated[str, AfterValidator(_name)]
    """1 to 63 lower case letters, digits and `-`; part of the notebook's address."""
    namespace: Annotated[str, AfterValidator(_name)] = "default"
    """A group of notebooks. Names are unique within it."""
    owner_id: Annotated[Text | None, Field(max_length=OWNER_LENGTH)] = None
    """The owner's id. Lists can be filtered by it."""
    labels: Annotated[dict[str, Text] | None, AfterValidator(lambda v: _labels(v) if v else v)] = None
    """Stored and returned; not used."""


class NotebookPodSpec(HasVariables):
    """The resources and variables of the notebook's process."""

    env_vars: Variables | None = None
    """Environment variables of the notebook: each a value, or {value: ..., secret: true}."""
    resources: str
    """The resources of the process: `cpu=1,memory=1Gi,nvidia.com/gpu=1`."""
    idle_seconds: int | None = Field(default=None, exclude_if=is_none, ge=0, le=MAX_IDLE_SECONDS)
    """Stops the notebook after so many idle seconds; 0 means never; default: the service's setting."""

    @field_validator("resources")
    @classmethod
    def _quantities(cls, value: str) -> str:
        parse_resources(value)
        return value

    @property
    def quantities(self) -> Resources:
        return parse_resources(self.resources)


class NotebookSpec(Document):
    """The JupyterLab to start."""

    meta: NotebookMeta
    """Its name, namespace and owner."""
    environment: EnvironmentSpec | None = None
    """The container image and packages."""
    spec: NotebookPodSpec
    """The resources and variables of its process."""
    cluster: str | None = Field(default=None, exclude_if=is_none)
    """The cluster to run on; default: the service's default cluster."""


class NotebookStatus:
    """The states of a notebook; `stopped` is this platform's addition: its files are there, its process is not."""

    CREATING = "creating"
    WAITING = "waiting"
    RUNNING = "running"
    TERMINATING = "terminating"
    STOPPED = "stopped"
    FAILED = "failed"


def path(namespace: str, name: str) -> str:
    """Where a notebook is served; JupyterLab itself is at `<path>/lab`."""
    return f"/notebook/{namespace}/{name}"
