"""Experiment templates, as in Submarine's API: parameters, and an experiment's spec with `{{name}}` in it.

Source: Submarine's "Experiment Template REST API" and its experiment-implementation design document.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, JsonValue, field_validator, model_validator

from submarine_ray.spec.base import Document, Text, check_name, is_none
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.masks import HIDDEN
from submarine_ray.spec.parameters import MAX_CHOICES, ParameterType, problem, told_by
from submarine_ray.spec.variables import plain

TEMPLATE_NAME_LENGTH = 63
MAX_PARAMETERS = 500
# The experiment's name may be given to every template, whether or not it has a parameter for that.
NAME = "meta.name"

TemplateName = Annotated[str, AfterValidator(lambda v: check_name(v, "a template", TEMPLATE_NAME_LENGTH))]


class TemplateParameter(Document):
    """A parameter. If it is required and has no default `value`, a submission must give one."""

    name: str = Field(min_length=1, max_length=256)
    """The name in placeholders (`{{name}}`), or the path of a value in the spec: `spec.Worker.replicas`."""
    required: Text = "false"
    """Whether a submission must give a value, unless there is a default: true or false."""
    description: str | None = None
    """A free-text description."""
    value: Text | None = None
    """The default value."""
    secret: bool | None = None
    """Whether answers hide the value, also in variables that it is put into."""
    type: ParameterType | None = Field(default=None, exclude_if=is_none)
    """text, integer, number or boolean; default: the type of the default value."""
    choices: list[Text] | None = Field(default=None, exclude_if=is_none, min_length=1, max_length=MAX_CHOICES)
    """The allowed values; default: all values of the type."""
    minimum: float | None = Field(default=None, exclude_if=is_none, allow_inf_nan=False)
    """The smallest allowed number."""
    maximum: float | None = Field(default=None, exclude_if=is_none, allow_inf_nan=False)
    """The largest allowed number."""

    @property
    def kind(self) -> ParameterType:
        """Its type, given or told by its default."""
        is_bounded = self.minimum is not None or self.maximum is not None
        return self.type or (ParameterType.NUMBER if is_bounded else told_by(self.value))

    def problem(self, value: str) -> str | None:
        """What is wrong with a value of it, in words. An empty one is no value where it need not have one."""
        if not value and not self.value and self.required != "true":
            return None
        return problem(value, self.kind, self.choices, self.minimum, self.maximum)

    @model_validator(mode="after")
    def _default_fits(self) -> TemplateParameter:
        wrong = self.problem(self.value) if self.value not in (None, HIDDEN) else None
        if wrong:
            raise ValueError(f"the value of {self.name!r} does not fit: {wrong}")
        return self

    @field_validator("required")
    @classmethod
    def _truth(cls, value: str) -> str:
        if value.lower() not in ("true", "false"):
            raise ValueError("write true or false")
        return value.lower()


class TemplateSpec(Document):
    """The template to store."""

    name: TemplateName
    """1 to 63 letters, digits, `-`, `_` or `.`."""
    author: str | None = Field(default=None, max_length=256)
    """The author's name."""
    description: str | None = Field(default=None, max_length=5000)
    """A free-text description."""
    parameters: list[TemplateParameter] = Field(
        default_factory=list,
        max_length=MAX_PARAMETERS,
        validation_alias=AliasChoices("parameters", "experimentTemplateParamSpec"),
    )
    """The parameters that a submission may or must give."""
    base: TemplateName | None = None
    """Another template to start from. The fields given here replace the base's fields."""
    version: Text | None = Field(default=None, max_length=32)
    """The template's version."""
    duration: Text | None = Field(default=None, exclude_if=is_none, max_length=120)
    """How long it takes with the default values, in words: `up to 10 minutes`."""
    needs: Text | None = Field(default=None, exclude_if=is_none, max_length=500)
    """What it needs, in words: free CPUs and GPUs, packages in the cluster."""
    experiment_spec: dict[str, JsonValue] = Field(default_factory=dict)
    """The experiment's spec, with `{{name}}` for parameters. With a base: only the differences."""

    @field_validator("experiment_spec")
    @classmethod
    def _variables(cls, value: JsonObject) -> JsonObject:
        found = dict(value)
        if isinstance(meta := found.get("meta"), dict):
            found["meta"] = plain(meta)
        if isinstance(roles := found.get("spec"), dict):
            found["spec"] = {role: plain(task) if isinstance(task, dict) else task for role, task in roles.items()}
        return found

    @model_validator(mode="after")
    def _is_complete(self) -> TemplateSpec:
        if not self.experiment_spec and not self.base:
            raise ValueError("experimentSpec is required, or a base to begin with")
        return self


class TemplateSubmission(Document):
    """Values for a template's parameters."""

    name: str | None = None
    """The template's name. The name in the path wins."""
    params: dict[str, Text] = Field(default_factory=dict)
    """The values, by the parameters' names."""

    @field_validator("params", mode="before")
    @classmethod
    def _absent(cls, value: object) -> object:
        return {} if value is None else value
