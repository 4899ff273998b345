"""Documents that users keep in the service: views of tables, panels, reports. What they say is of their kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from submarine_ray.spec.base import Document

NAME_LENGTH = 120
MOST_BYTES = 64_000
KIND_PATTERN = r"^[a-z][a-z-]{0,38}[a-z]$"


class Audience(StrEnum):
    """Who sees a saved document: its owner, or everyone who may use this service."""

    PRIVATE = "private"
    TEAM = "team"


def _name(value: str) -> str:
    """Raises ValueError for a name that nobody can read."""
    value = value.strip()
    if not value or not value.isprintable():
        raise ValueError("a name has at least one character, and none that cannot be printed")
    return value


SavedName = Annotated[str, Field(max_length=NAME_LENGTH), AfterValidator(_name)]


class NewSaved(Document):
    """A document to save."""

    name: SavedName
    """1 to 120 characters. Each owner uses a name once per kind."""
    document: dict[str, JsonValue]
    """The document, as its kind describes it; at most 64 kB."""
    audience: Audience = Audience.PRIVATE
    """Who sees it: `private` (its owner) or `team` (everyone who may use this service)."""


class SavedPatch(Document):
    """Changes of a saved document. Fields that are left out stay as they are."""

    name: SavedName | None = None
    """The new name."""
    document: dict[str, JsonValue] | None = None
    """The new document, as a whole."""
    audience: Audience | None = None
    """Who sees it from now on."""
