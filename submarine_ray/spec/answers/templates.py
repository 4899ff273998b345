"""Templates."""

from __future__ import annotations

from operator import not_

from pydantic import Field, JsonValue

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.base import is_none
from submarine_ray.spec.parameters import ParameterType


class TemplateId(Answer):
    """A template's id, in Submarine's form."""

    id: int
    """A running number."""
    server_timestamp: int
    """When it was created, in ms since 1970."""


class StoredParameter(Answer):
    """A parameter as it is stored."""

    name: str
    """What stands between `{{` and `}}`."""
    required: str
    """`true` or `false`."""
    description: str | None
    """For people."""
    value: str | None
    """What holds if a submission does not name it."""
    secret: bool | None = Field(default=None, exclude_if=is_none)
    """Whether answers hide its value, whatever it is called."""
    type: ParameterType | None = Field(default=None, exclude_if=is_none)
    """text, integer, number or boolean, where the template says so."""
    choices: list[str] | None = Field(default=None, exclude_if=is_none)
    """The values that it may have, where the template says so."""
    minimum: float | None = Field(default=None, exclude_if=is_none)
    """The smallest number that it may be."""
    maximum: float | None = Field(default=None, exclude_if=is_none)
    """The largest number that it may be."""


class StoredTemplate(Answer):
    """A template as it is stored."""

    name: str
    """Its name."""
    author: str | None
    """Who made it."""
    description: str | None
    """For people."""
    parameters: list[StoredParameter]
    """Its own, and three of each role: replicas, CPU and memory."""
    experiment_spec: dict[str, JsonValue]
    """The experiment's spec with its placeholders."""
    base: str | None = Field(default=None, exclude_if=is_none)
    """The template that it began with."""
    version: str | None = Field(default=None, exclude_if=is_none)
    """Which version it is."""
    read_only: bool = Field(default=False, exclude_if=not_)
    """Whether it comes with the platform, and nobody changes it."""


class Template(Answer):
    """A template."""

    experiment_template_id: TemplateId
    """Its id."""
    experiment_template_spec: StoredTemplate
    """What it consists of."""
