"""What every model of the REST language shares."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A body of the REST API: camelCase outside, unknown fields refused, as Submarine does.

    What stands below a field describes it, in the OpenAPI document too.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", use_attribute_docstrings=True
    )


def as_text(value: Any) -> Any:
    """YAML and hurried JSON write numbers and booleans where Submarine's contract has text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(as_text, json_schema_input_type=str | int | float | bool)]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
NAME_LENGTH = 63  # of a Kubernetes label, where names end up
MODEL_NAME_LENGTH = 128
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]  # of a registered model, as MLflow's database holds it
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
