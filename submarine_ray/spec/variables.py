"""Environment variables, and which of them are secret."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from submarine_ray.spec.base import Document, Text, as_text, check_variables, is_none
from submarine_ray.spec.json_types import Json, JsonObject

MAX_MARKS = 1_000


class MarkedVariable(Document):
    """The value of a variable, and whether it is secret."""

    value: Text
    """The variable's value."""
    secret: bool = False
    """Whether answers hide the value, whatever the variable's name."""


# An object is taken apart by `HasVariables` before a field sees it.
Variable = Annotated[str, BeforeValidator(as_text, json_schema_input_type=str | int | float | bool | MarkedVariable)]
Variables = Annotated[dict[str, Variable], AfterValidator(check_variables)]


class HasVariables(Document):
    """What has `envVars`: each a value, or {value: ..., secret: true}, which is kept as its name in `secretVars`."""

    secret_vars: list[Text] | None = Field(default=None, exclude_if=is_none, max_length=MAX_MARKS)
    """Variables whose values answers hide, in addition to those with names like HF_TOKEN or DB_PASSWORD."""

    @model_validator(mode="before")
    @classmethod
    def _marked(cls, document: object) -> object:
        return plain(document) if isinstance(document, dict) else document


def plain(document: JsonObject) -> JsonObject:
    """A document with `envVars` whose values are all plain, and the names of secret ones beside them."""
    key = "env_vars" if "env_vars" in document else "envVars"
    variables = document.get(key)
    if not isinstance(variables, dict) or not any(isinstance(value, dict) for value in variables.values()):
        return document
    found: JsonObject = {}
    listed = document.get("secretVars") or document.get("secret_vars")
    marks: list[Json] = list(listed) if isinstance(listed, list) else []
    for name, value in variables.items():
        if not isinstance(value, dict):
            found[name] = value
            continue
        is_known = "value" in value and value.keys() <= {"value", "secret"}
        if not is_known or not isinstance(value.get("secret", False), bool):
            raise ValueError(f"envVars.{name}: write its value, or {{value: ..., secret: true}}")
        found[name] = value["value"]
        if value.get("secret") and name not in marks:
            marks.append(name)
    others = {k: v for k, v in document.items() if k not in ("secretVars", "secret_vars")}
    return {**others, key: found, **({"secretVars": marks} if marks else {})}
