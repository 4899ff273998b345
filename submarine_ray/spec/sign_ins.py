"""Who is signed in, as the REST API answers it."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class SignInSession(Answer):
    """A signed-in browser."""

    session_id: str
    """The session's id, used to sign it out."""
    signed_in_by: str
    """How it signed in: by `token` or `link`."""
    address: str
    """The IP address it signed in from."""
    created_time: str | None
    """When it signed in."""
    used_time: str | None
    """When it last sent a request, to the minute."""
    expires_time: str | None
    """When the session expires."""


class SignInLink(Answer):
    """A link that signs one browser in, once."""

    path: str
    """The path to open on this service."""
    expires_time: str | None
    """When the link expires."""
