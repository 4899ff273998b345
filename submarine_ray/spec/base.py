"""What every model of the REST language shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A body of the REST API: camelCase outside, unknown fields refused, as Submarine does.

    What stands below a field describes it, in the OpenAPI document too.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", use_attribute_docstrings=True
    )


def is_none(value: object) -> bool:
    """For `Field(exclude_if=is_none)`: an addition to Submarine's contract stands in answers only where it is set."""
    return value is None


Model = TypeVar("Model", bound=BaseModel)


def unchecked(model: type[Model], document: Mapping[str, object]) -> Model:
    """What `model` refuses, as the model all the same: as it is written, with defaults for what it lacks."""
    known = {}
    for name, field in model.model_fields.items():
        key = name if name in document else field.alias or name
        if key in document:
            known[name] = _unchecked_value(field.annotation, document[key])
    return model.model_construct(None, **known)


def _unchecked_value(annotation: object, value: object) -> object:
    """`value` with models wherever the annotation has some: `Model | None`, `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return unchecked(annotation, value) if isinstance(value, Mapping) else value
    inner = get_args(annotation)
    if get_origin(annotation) is dict and isinstance(value, Mapping):
        return {key: _unchecked_value(inner[-1], one) for key, one in value.items()}
    for one in inner:
        if (found := _unchecked_value(one, value)) is not value:
            return found
    return value


def as_text(value: object) -> object:
    """YAML and hurried JSON write numbers and booleans where Submarine's contract has text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(as_text, json_schema_input_type=str | int | float | bool)]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
NAME_LENGTH = 63  # of a Kubernetes label, where names end up
MODEL_NAME_LENGTH = 128
MOST_VERSIONS = 2**31 - 1  # of a registered model, as MLflow's database holds it
Version = Annotated[int, Field(ge=1, le=MOST_VERSIONS)]
ENVIRONMENT_NAME_LENGTH = 128


def check_name(value: str, what: str, length: int = NAME_LENGTH) -> str:
    """`value`, if it can be a name everywhere a name travels (URL, label, file). Raises ValueError."""
    if not _NAME.fullmatch(value) or len(value) > length or ".." in value:
        raise ValueError(
            f"{value[:80]!r} cannot be the name of {what}: use 1 to {length} letters, digits, '-', '_' or single '.', "
            "beginning and ending with a letter or digit"
        )
    return value


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variables(variables: dict[str, str]) -> dict[str, str]:
    """Environment variables whose names a shell would accept. Raises ValueError."""
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not an environment variable's name: use letters, digits and '_'")
        if "\0" in value:
            raise ValueError(f"the value of {name} has a NUL character")
    return variables
