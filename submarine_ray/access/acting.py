"""Who is behind what this thread or task does: set by the gate, read where something is recorded.

A context variable, not a parameter: deletions are reached from endpoints, from pages (whose clicks come over a
WebSocket) and from one another, and all of these begin in a request that the gate has seen. What none began is the
service's own.
"""

from __future__ import annotations

from contextvars import ContextVar

from submarine_ray.access.principals import Principal, PrincipalKind

SERVICE = "service"

_PRINCIPAL: ContextVar[Principal | None] = ContextVar("principal", default=None)


def act_for(principal: Principal | None) -> None:
    """From here on, in this task and what it starts."""
    _PRINCIPAL.set(principal)


def acting() -> Principal | None:
    """The caller; None for the service itself."""
    return _PRINCIPAL.get()


def acting_user() -> str:
    """The name of the user behind the caller, whose documents are theirs alone.

    Whoever holds the service's token is the administrator, however they signed in; a notebook acts for its user, who
    is one. Everyone else is named by what they are.
    """
    who = acting()
    if who is None:
        return SERVICE
    if who.kind in (PrincipalKind.ADMINISTRATOR, PrincipalKind.NOTEBOOK):
        return str(PrincipalKind.ADMINISTRATOR)
    return f"{who.kind} {who.name}"
