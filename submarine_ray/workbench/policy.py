"""What a browser lets the workbench's pages do, however a stranger's text came into one."""

from __future__ import annotations

import secrets

from jinja2.ext import Extension
from nicegui.client import templates

from submarine_ray.core.http import App, Message, Receive, Scope, Send

_NONCE = "submarine_nonce"
# Vue compiles its templates in the page, which needs eval; nothing comes from elsewhere, and nobody frames us.
_POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class Guarded:
    """Adds the headers that tell a browser what a page may do, with a nonce for each answer."""

    def __init__(self, app: App) -> None:
        self._app = app
        templates.env.add_extension(_Nonces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_NONCE] = nonce = secrets.token_urlsafe(16)
        headers = (
            (b"content-security-policy", _POLICY.format(nonce=nonce).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            # Content on another port of the same name is "same site": it gets no hold of these pages.
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        )

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await self._app(scope, receive, guarded)


class _Nonces(Extension):
    """Gives the nonce to the scripts of NiceGUI's template itself, before anything is put into it: to no others."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return source.replace("<script", f'<script nonce="{{{{ request.scope.{_NONCE} }}}}"')
