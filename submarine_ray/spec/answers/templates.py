"""Templates."""

from __future__ import annotations

from operator import not_

from pydantic import Field, JsonValue

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.base import is_none
from submarine_ray.spec.parameters import ParameterType


class TemplateId(Answer):
    """A template's id, in Submarine's format."""

    id: int
    """The template's number."""
    server_timestamp: int
    """When it was created, in milliseconds since 1970."""


class StoredParameter(Answer):
    """A parameter of a stored template."""

    name: str
    """The name used in placeholders: `{{name}}`."""
    required: str
    """Whether a submission must give a value, unless there is a default: `true` or `false`."""
    description: str | None
    """A free-text description."""
    value: str | None
    """The default value."""
    secret: bool | None = Field(default=None, exclude_if=is_none)
    """Whether answers hide the value, whatever the parameter's name."""
    type: ParameterType | None = Field(default=None, exclude_if=is_none)
    """The type of the value: text, integer, number or boolean; null if the template does not say."""
    choices: list[str] | None = Field(default=None, exclude_if=is_none)
    """The allowed values; null if all are."""
    minimum: float | None = Field(default=None, exclude_if=is_none)
    """The smallest allowed number."""
    maximum: float | None = Field(default=None, exclude_if=is_none)
    """The largest allowed number."""


class StoredTemplate(Answer):
    """A stored template."""

    name: str
    """The template's name."""
    author: str | None
    """The author's name."""
    description: str | None
    """A free-text description."""
    parameters: list[StoredParameter]
    """The template's own parameters, then replicas, CPU and memory of each role."""
    experiment_spec: dict[str, JsonValue]
    """The experiment's spec, with placeholders."""
    base: str | None = Field(default=None, exclude_if=is_none)
    """The name of the template it was derived from."""
    version: str | None = Field(default=None, exclude_if=is_none)
    """The template's version."""
    duration: str | None = Field(default=None, exclude_if=is_none)
    """How long it takes with the default values, in words."""
    needs: str | None = Field(default=None, exclude_if=is_none)
    """What it needs, in words: free CPUs and GPUs, packages in the cluster."""
    read_only: bool = Field(default=False, exclude_if=not_)
    """Whether it comes with the platform and cannot be changed."""


class Template(Answer):
    """A template with its id."""

    experiment_template_id: TemplateId
    """The template's id."""
    experiment_template_spec: StoredTemplate
    """The template itself."""
