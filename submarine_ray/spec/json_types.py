"""JSON, as a type: what users' own documents are made of. Standard library only, for the runner reads it too.

In a model's fields it is pydantic's `JsonValue`, which is the same type and checks what it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


def object_in(value: Json) -> JsonObject:
    """`value` where it is an object; else one without fields."""
    return value if isinstance(value, dict) else {}


def value_at(document: Json | Mapping[str, Json], *path: str) -> Json:
    """The value below the keys of `path`, of which there is at least one; None where there is none."""
    *parents, last = path
    for key in parents:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document.get(last) if isinstance(document, Mapping) else None


def object_at(document: Json | Mapping[str, Json], *path: str) -> JsonObject:
    """The object below the keys of `path`; an empty one where there is none."""
    return object_in(value_at(document, *path))


def objects_at(document: Json | Mapping[str, Json], *path: str) -> list[JsonObject]:
    """The objects of the list below the keys of `path`; other items are left out."""
    found = value_at(document, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_at(document: Json | Mapping[str, Json], *path: str) -> str:
    """The text below the keys of `path`; empty where there is none, or something other than text."""
    found = value_at(document, *path)
    return found if isinstance(found, str) else ""


def read_foreign(text: str, digits: int = 18) -> Json:
    """What JSON from anybody says, as it can be passed on: integers of more digits as texts, and no halves of
    characters, which have no UTF-8. Raises ValueError.
    """
    try:
        found: Json = json.loads(text, parse_int=lambda said: int(said) if len(said) <= digits else said)
        if "\\ud" not in text.lower():
            return found
        whole: Json = json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
        return whole
    except RecursionError as failure:
        raise ValueError("It is nested too deep.") from failure
