"""How a browser shows the token: once, in a form; afterwards a cookie that scripts cannot read stands for it."""

from __future__ import annotations

import hashlib
import hmac
import html
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from submarine_ray.core import cookies

PATH = "/login"
SECONDS = 30 * 24 * 3600
MAX_FORM_BYTES = 10_000
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;
max-width:24rem;padding:0 1rem;color:#1f2937}}input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;
margin-top:.5rem}}.problem{{color:#b91c1c}}</style></head><body><h1>Sign in</h1><p class="problem">{problem}</p>
<form method="post"><label>Token of this service<input type="password" name="token" autofocus required
autocomplete="current-password"></label><input type="hidden" name="next" value="{next}"><button>Sign in</button></form>
</body></html>"""


def session(token: str) -> str:
    """What the cookie holds: proof of having known the token, and not the token."""
    return hmac.new(token.encode(), b"submarine session", hashlib.sha256).hexdigest()


def is_signed_in(headers: Iterable[tuple[bytes, bytes]], token: str) -> bool:
    """Whether a browser has signed in to a service with this token."""
    own = session(token).encode()
    return any(hmac.compare_digest(value.encode(), own) for value in cookies.values(headers))


async def answer(request: Request, token: str) -> Response:
    """The form, and what becomes of it."""
    if request.method == "GET":
        return _form(_local(request.query_params.get("next", "/")))
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return _form("/", "That is too long to be the token.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    fields = parse_qs(body.decode(errors="replace"))
    target = _local(fields.get("next", ["/"])[0])
    if not hmac.compare_digest(fields.get("token", [""])[0].strip().encode(), token.encode()):
        return _form(target, "That is not the token.", HTTPStatus.UNAUTHORIZED)
    answered = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    answered.set_cookie(
        cookies.SESSION_COOKIES[0],
        session(token),
        SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answered


def _form(target: str, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    page = _PAGE.format(problem=html.escape(problem), next=html.escape(target))
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def _local(target: str) -> str:
    """A path of this service; nobody is sent elsewhere from here."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"
