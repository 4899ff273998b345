"""JSON, as a type: what users' own documents are made of. Standard library only, for the runner reads it too.

In a model's fields it is pydantic's `JsonValue`, which is the same type and checks what it is given.
"""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


def object_in(value: Json) -> JsonObject:
    """`value` where it is an object; else one without fields."""
    return value if isinstance(value, dict) else {}
