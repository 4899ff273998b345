"""Saved documents."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.saved import Audience


class Saved(Answer):
    """A document that a user saved in the service."""

    id: str
    """The document's id."""
    kind: str
    """The document's kind."""
    name: str
    """The document's name."""
    owner: str
    """Who saved it. Only the owner changes or deletes it."""
    is_own: bool
    """Whether the caller is its owner."""
    audience: Audience
    """Who sees it."""
    document: dict[str, JsonValue]
    """The document, as its kind describes it."""
    created_time: str
    """When it was saved first (ISO 8601)."""
    updated_time: str
    """When it was changed last (ISO 8601)."""
