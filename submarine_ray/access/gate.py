"""What stands before everything else: is a request for us, from our own pages, who sends it, what may they reach.

It leaves the caller in `scope["state"]["principal"]`; endpoints read it with `callers.caller`.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from submarine_ray.access import connections, signin
from submarine_ray.access.origins import Origins
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tokens import is_ours
from submarine_ray.core.envelope import error
from submarine_ray.core.http import App, Receive, Scope, Send, is_navigation
from submarine_ray.core.settings import Settings

OPEN_PATHS = ("/health", "/ready", signin.PATH)


def no_tokens(_token: str) -> Principal | None:
    """Of a service that gives nobody a token of their own."""
    return None


def nothing(_principal: Principal, _scope: Scope) -> bool:
    """What callers other than administrators reach where nothing was said of them."""
    return False


class Gate:
    """Refuses foreign hosts (DNS rebinding), foreign origins (CSRF), and who is not known.

    `tokens` finds whose a bearer token is, other than the service's own; `opens` says whether a caller who is no
    administrator may send this request.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        tokens: Callable[[str], Principal | None] = no_tokens,
        opens: Callable[[Principal, Scope], bool] = nothing,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._opens = opens
        self._token = settings.token.get_secret_value() if settings.token else None
        self._origins = Origins(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._origins.refusal(scope) or self._identified(scope)
        if refusal is None and self._token and scope["type"] == "http" and scope["path"] == signin.PATH:
            refusal = await signin.answer(Request(scope, receive), self._token)
        await (refusal or self._app)(scope, receive, send)

    def _identified(self, scope: Scope) -> Response | None:
        """Note who asks; the refusal of who is not known, or of what they may not reach."""
        principal = self._principal(scope, _bearer(scope))
        scope.setdefault("state", {})["principal"] = principal
        if scope["path"] in OPEN_PATHS:
            return None
        if principal is None:
            if is_navigation(scope) and self._token:
                return RedirectResponse(f"{signin.PATH}?next={quote(scope['path'])}", HTTPStatus.SEE_OTHER)
            return error(HTTPStatus.UNAUTHORIZED, self._who_is_known())
        if principal.kind is not PrincipalKind.ADMINISTRATOR and not self._opens(principal, scope):
            whose = f"The token of the {principal.kind} {principal.name!r}"
            return error(HTTPStatus.FORBIDDEN, f"{whose} does not open {scope['path'][:200]}.")
        return None

    def _who_is_known(self) -> str:
        if self._token:
            return "The token is missing or wrong; send 'Authorization: Bearer <token>'."
        return (
            f"This service answers its own user alone (uid {os.geteuid()}), and the request comes from another one or "
            "through a proxy. Others sign in with a token: have SUBMARINE_TOKEN set where the service starts."
        )

    def _principal(self, scope: Scope, token: str) -> Principal | None:
        # A token of an attempt stands for that attempt alone, even where a request without one is an administrator's.
        if token and (found := self._tokens(token)) is not None:
            return found
        if is_ours(token):  # one that was forged, or made with another key, is nobody's
            return None
        if self._token is None:
            uid = connections.peer_uid(scope)
            known = connections.is_own_user(uid)
            return Principal(PrincipalKind.ADMINISTRATOR, f"user {uid} of this machine") if known else None
        if token and hmac.compare_digest(token.encode(), self._token.encode()):
            return Principal(PrincipalKind.ADMINISTRATOR, "token")
        if signin.is_signed_in(scope["headers"], self._token):
            return Principal(PrincipalKind.ADMINISTRATOR, "session")
        return None


def _bearer(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return given[0].decode("latin-1").removeprefix("Bearer ").strip() if len(given) == 1 else ""
