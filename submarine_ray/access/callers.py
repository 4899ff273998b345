"""How endpoints learn who asks."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from submarine_ray.access.principals import MISSING_OR_WRONG, Principal, PrincipalKind
from submarine_ray.core.errors import Forbidden, Unauthorized


def caller(connection: HTTPConnection) -> Principal:
    """Who sent a request or opened a page. Raises Unauthorized where the gate let it pass without asking."""
    principal: Principal | None = getattr(connection.state, "principal", None)
    if principal is None:
        raise Unauthorized(MISSING_OR_WRONG)
    return principal


def administrator(connection: HTTPConnection) -> Principal:
    """As `caller`. Raises Forbidden too, where they are no administrator."""
    principal = caller(connection)
    if principal.kind is not PrincipalKind.ADMINISTRATOR:
        raise Forbidden(f"Only administrators may do this, and the {principal.kind} {principal.name!r} is none.")
    return principal
