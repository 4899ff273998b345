"""How a browser gets in: with the token in a form, or by a link that works once. A cookie stands for it afterwards."""

from __future__ import annotations

import contextlib
import html
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from submarine_ray.access.identity import Identity, Known, TooManyAttempts, address_of
from submarine_ray.access.origins import Origins
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.sessions import Sessions
from submarine_ray.core import cookies
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import NotFound

PATH = "/login"
OUT_PATH = "/logout"
MAX_FORM_BYTES = 10_000
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;
max-width:24rem;padding:0 1rem;color:#1f2937}}input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;
margin-top:.5rem}}.problem{{color:#b91c1c}}</style></head><body><h1>Sign in</h1>
<p class="problem" role="alert">{problem}</p>{form}
<p>No token? Whoever has it can run <code>submarine sign-in</code>, which prints a link for you.</p>
</body></html>"""
_FORM = """<form method="post" action="/login"><label>Service token<input type="password" name="token" autofocus
required autocomplete="current-password"></label><input type="hidden" name="next" value="{next}">
<button>Sign in</button></form>"""
_HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: browsers hold the redirects after a form to it, and some lead to the origin of content.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # a link must not be told to others; and with less, forms come without an origin
}
_USED = "This link has expired or was used already. `submarine sign-in` prints another."


class SignIn:
    """Answers /login and /logout."""

    def __init__(self, sessions: Sessions, identity: Identity, origins: Origins) -> None:
        self._sessions = sessions
        self._identity = identity
        self._origins = origins

    async def answer(self, request: Request, known: Known | None) -> Response:
        """What becomes of a request to one of the two. Raises DatabaseUnavailable."""
        if request.url.path == OUT_PATH:
            return await self._sign_out(request, known)
        if request.method == "POST":
            return await self._sign_in(request)
        target = _local(request.query_params.get("next", "/"))
        link = request.query_params.get("ticket")
        if link is None or request.method != "GET":
            return self._page(target)
        principal = await run_in_threadpool(self._sessions.take_link, link)
        if principal is None:
            return self._page(target, _USED, HTTPStatus.UNAUTHORIZED)
        return await self._signed_in(request, principal, target)

    async def _sign_in(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_FORM_BYTES:
                said = "The token is too long."
                return self._page("/", said, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        fields = parse_qs(body.decode(errors="replace"))
        target = _local(fields.get("next", ["/"])[0])
        if not self._identity.has_token:
            return self._page(target, status=HTTPStatus.UNAUTHORIZED)
        try:
            is_token = self._identity.check(fields.get("token", [""])[0].strip(), address_of(request.scope))
        except TooManyAttempts as failure:
            answer = self._page(target, str(failure), failure.status)
            answer.headers["Retry-After"] = str(failure.seconds)
            return answer
        if not is_token:
            return self._page(target, "The token is wrong.", HTTPStatus.UNAUTHORIZED)
        return await self._signed_in(request, Principal(PrincipalKind.ADMINISTRATOR, "token"), target)

    async def _signed_in(self, request: Request, principal: Principal, target: str) -> Response:
        secret = await run_in_threadpool(self._sessions.begin, principal, address_of(request.scope))
        answer = RedirectResponse(target, HTTPStatus.SEE_OTHER, _HEADERS)
        is_secure = self._origins.is_https(request.scope)
        name = cookies.SESSION_COOKIES[1 if is_secure else 0]
        answer.set_cookie(name, secret, self._sessions.seconds, httponly=True, samesite="lax", secure=is_secure)
        return answer

    async def _sign_out(self, request: Request, known: Known | None) -> Response:
        if request.method != "POST":
            return error(HTTPStatus.METHOD_NOT_ALLOWED, "Signing out changes something: POST it.")
        if known and known.session:
            with contextlib.suppress(NotFound):  # another tab was faster
                await run_in_threadpool(self._sessions.end, known.session.id)
        answer = RedirectResponse(PATH, HTTPStatus.SEE_OTHER, _HEADERS)
        for name in cookies.SESSION_COOKIES:
            answer.delete_cookie(name, httponly=True, samesite="lax", secure=name.startswith("__Host-"))
        return answer

    def _page(self, target: str, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
        if not self._identity.has_token:
            problem = problem or self._identity.refusal()
        form = _FORM.format(next=html.escape(target)) if self._identity.has_token else ""
        return HTMLResponse(_PAGE.format(problem=html.escape(problem), form=form), status, _HEADERS)


def _local(target: str) -> str:
    """A path of this service; nobody is sent elsewhere from here."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
