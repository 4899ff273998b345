"""Who is signed in, as the REST API answers it."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class SignInSession(Answer):
    """A browser that is signed in."""

    session_id: str
    """By which it can be signed out."""
    signed_in_by: str
    """How it came in: `token` or `link`."""
    address: str
    """Where it came from."""
    created_time: str | None
    """When it signed in."""
    used_time: str | None
    """When it was last here, to the minute."""
    expires_time: str | None
    """When it must sign in again."""


class SignInLink(Answer):
    """A link that signs a browser in, once."""

    path: str
    """To be opened at this service."""
    expires_time: str | None
    """Until when."""
