"""What stands before everything else: is a request for us, from our own pages, who sends it, what may they reach.

It leaves the caller in `scope["state"]["principal"]`; endpoints read it with `callers.caller`.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from submarine_ray.access import live, signin
from submarine_ray.access.acting import act_for
from submarine_ray.access.identity import Identity, Known, TooManyAttempts
from submarine_ray.access.origins import Origins
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.sessions import Sessions
from submarine_ray.access.throttle import Throttle
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.http import App, Receive, Scope, Send, is_navigation
from submarine_ray.core.settings import Settings

OPEN_PATHS = ("/health", "/ready")


def no_tokens(_token: str) -> Principal | None:
    """Of a service that gives nobody a token of their own."""
    return None


def nothing(_principal: Principal, _scope: Scope) -> bool:
    """What callers other than administrators reach where nothing was said of them."""
    return False


class Gate:
    """Refuses foreign hosts (DNS rebinding), foreign origins (CSRF), and who is not known.

    `tokens` finds whose a bearer token is, other than the service's own; `opens` says whether a caller who is no
    administrator may send this request. Without `sessions` nobody signs in.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        tokens: Callable[[str], Principal | None] = no_tokens,
        opens: Callable[[Principal, Scope], bool] = nothing,
        sessions: Sessions | None = None,
    ) -> None:
        self._app = app
        self._opens = opens
        self._sessions = sessions
        self._origins = Origins(settings)
        self._identity = Identity(settings, tokens, sessions, Throttle())
        self._signin = signin.SignIn(sessions, self._identity, self._origins) if sessions else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal, known = self._origins.refusal(scope), None
        if refusal is None and scope["path"] not in OPEN_PATHS:
            try:
                known = await self._identity.find(scope)
                refusal = await self._answer(scope, receive, known)
            except TooManyAttempts as failure:
                refusal = error(failure.status, str(failure))
                refusal.headers["Retry-After"] = str(failure.seconds)
            except DatabaseUnavailable as failure:
                refusal = error(failure.status, str(failure))
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket" and known and known.session and self._sessions:
            await live.run(self._app, scope, receive, send, known.session, self._sessions)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, known: Known | None) -> Response | None:
        """Note who asks; the answer to who is not known, to what they may not reach, and to signing in and out."""
        state = scope.setdefault("state", {})
        state["principal"] = known.principal if known else None
        act_for(known.principal if known else None)
        state["session"] = known.session if known else None
        if scope["path"] in (signin.PATH, signin.OUT_PATH) and scope["type"] == "http" and self._signin:
            return await self._signin.answer(Request(scope, receive), known)
        if known is None:
            if is_navigation(scope) and self._signin:
                query = scope.get("query_string", b"").decode("latin-1")
                asked = quote(f"{scope['path']}?{query}" if query else scope["path"])
                return RedirectResponse(f"{signin.PATH}?next={asked}", HTTPStatus.SEE_OTHER)
            refusal = error(HTTPStatus.UNAUTHORIZED, self._identity.refusal())
            refusal.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 15.5.2
            return refusal
        if scope["path"].endswith("\n") and scope["path"].startswith("/api/"):
            # The router's patterns end in `$`, which a newline may follow: past all that compares paths.
            return error(HTTPStatus.NOT_FOUND, "There is nothing at a path with a newline at its end.")
        principal = known.principal
        if principal.kind is not PrincipalKind.ADMINISTRATOR and not self._opens(principal, scope):
            whose = f"The token of the {principal.kind} {principal.name!r}"
            return error(HTTPStatus.FORBIDDEN, f"{whose} does not open {scope['path'][:200]}.")
        return None
