"""Whose a request is: a token's holder's, that of somebody who has signed in, or the service's own user's here."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import HTTPConnection

from submarine_ray.access import connections
from submarine_ray.access.principals import MISSING_OR_WRONG, Principal, PrincipalKind
from submarine_ray.access.sessions import Session, Sessions
from submarine_ray.access.throttle import Throttle
from submarine_ray.access.tokens import is_ours
from submarine_ray.core import cookies
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.http import Scope
from submarine_ray.core.settings import Settings

UNKNOWN_ADDRESS = "unknown"


class TooManyAttempts(SubmarineError):
    """Too many wrong tokens; `seconds`: when the next may come."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many wrong tokens came from this address, or for this service; wait {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True)
class Known:
    """A caller, and the session in which they are signed in, if that is how."""

    principal: Principal
    session: Session | None = None


class Identity:
    """Finds callers; `tokens` says whose a token is that this service has made."""

    def __init__(
        self,
        settings: Settings,
        tokens: Callable[[str], Principal | None],
        sessions: Sessions | None,
        throttle: Throttle,
    ) -> None:
        self._token = settings.token.get_secret_value() if settings.token else None
        self._tokens = tokens
        self._sessions = sessions
        self._throttle = throttle

    @property
    def has_token(self) -> bool:
        return self._token is not None

    async def find(self, scope: Scope) -> Known | None:
        """Raises TooManyAttempts, DatabaseUnavailable."""
        bearer = _bearer(scope)
        if bearer is None:
            return None
        if is_ours(bearer):
            # It stands for its holder alone, even where a request without one is an administrator's; and one that was
            # forged, or made with another key, is nobody's.
            held = self._tokens(bearer)
            return Known(held) if held else None
        if bearer and self._token is not None and self._is_token(bearer, address_of(scope)):
            return Known(Principal(PrincipalKind.ADMINISTRATOR, "token"))
        if self._sessions and (given := cookies.values(scope["headers"])):
            session = await self._sessions.find(given)
            if session is not None:
                return Known(session.principal, session)
        if self._token is None and connections.is_own_user(uid := connections.peer_uid(scope)):
            return Known(Principal(PrincipalKind.ADMINISTRATOR, f"user {uid} of this machine"))
        return None

    def check(self, token: str, address: str) -> bool:
        """Whether somebody who fills in the form knows the token. Raises TooManyAttempts."""
        if wait := self._throttle.wait(address):
            raise TooManyAttempts(wait)
        return self._compared(token, address)

    def refusal(self) -> str:
        """What is said to who is not known."""
        if self._token is not None:
            return MISSING_OR_WRONG
        return (
            f"This service answers its own user alone (uid {os.geteuid()}), and the request comes from another one or "
            "through a proxy. Others sign in by a link that `submarine sign-in` prints for that user, or with a token: "
            "have SUBMARINE_TOKEN set where the service starts."
        )

    def _is_token(self, token: str, address: str) -> bool:
        """As `check`, for programs: guesses of others do not lock out those who have shown the right token."""
        wait = self._throttle.wait(address)
        if wait and not self._throttle.is_trusted(address):
            raise TooManyAttempts(wait)
        if self._compared(token, address):
            return True
        if wait:
            raise TooManyAttempts(wait)
        return False

    def _compared(self, token: str, address: str) -> bool:
        if self._token is not None and hmac.compare_digest(token.encode(), self._token.encode()):
            self._throttle.succeeded(address)
            return True
        self._throttle.failed(address, token)
        return False


def address_of(scope: Scope) -> str:
    """Where a request comes from, as far as that is known."""
    client = HTTPConnection(scope).client
    return client.host if client else UNKNOWN_ADDRESS


def _bearer(scope: Scope) -> str | None:
    """The token that comes along, "" without one; None where there are several, for two readers would take two."""
    given = [value.decode("latin-1").strip() for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(given) > 1:
        return None
    scheme, _, token = "".join(given).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else "".join(given)
