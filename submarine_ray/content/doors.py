"""The two doors to content: on the main origin, where browsers are sent on, and on the content's, where they get in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import RedirectResponse, Response

from submarine_ray.access import live
from submarine_ray.access.principals import Principal
from submarine_ray.access.sessions import Session, Sessions
from submarine_ray.content.kinds import ContentKind, Visit, is_browser, refused
from submarine_ray.content.origins import SETTING, Origins, header
from submarine_ray.content.tickets import PASS_SECONDS, Tickets
from submarine_ray.core import cookies
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.http import App, Message, Receive, Scope, Send, is_navigation
from submarine_ray.core.limits.bodies import Bodies
from submarine_ray.core.settings import Settings

TICKET = "submarine-ticket"
MOST_PASSES = 8
SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"
_PASS = "submarine_content"  # noqa: S105 (a cookie's name)
_NO_TRACE = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class Content:
    """What both doors share: the kinds of content, the origins, the tickets."""

    def __init__(self, kinds: Sequence[ContentKind], origins: Origins, tickets: Tickets, trusted: bool = False) -> None:
        self._kinds = kinds
        self.origins = origins
        self.tickets = tickets
        self._trusted = trusted

    def find(self, path: str) -> tuple[ContentKind, str] | None:
        """The kind of content that a path leads to, and its object's own path there."""
        for kind in self._kinds:
            if (own := kind.find(path)) is not None:
                return kind, own
        return None

    def policy(self, kind: ContentKind) -> str:
        """The Content-Security-Policy of a content's pages, beside their own."""
        shared = self.origins.is_shared
        sandboxed = not self._trusted if shared else kind.sandboxed and not self.origins.is_one_each
        return "frame-ancestors 'self'" + (f"; {SANDBOX}" if sandboxed else "")


class MainDoor:
    """ASGI middleware behind the gate: pages of content are sent on to their own origin, programs are served here."""

    def __init__(self, app: App, content: Content) -> None:
        self._app = app
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._content.find(scope["path"]) if scope["type"] in ("http", "websocket") else None
        if found is None:
            await self._app(scope, receive, send)
            return
        kind, own = found
        origins = self._content.origins
        visit = Visit(None, origins.of_main(scope))
        if not is_browser(scope):
            # A program has shown its token and renders nothing; if a browser came this way, it would see no origin.
            await kind.serve(scope, receive, _guarded(send, SANDBOX, keeps_cookies=False), visit)
        elif is_navigation(scope):
            answer = await kind.arrive(scope)
            if answer is None and origins.is_shared:
                await self._serve_here(kind, scope, receive, send)
            else:
                await (answer or self._sent_on(scope, own))(scope, receive, send)
        elif origins.is_shared:
            await self._serve_here(kind, scope, receive, send)
        else:
            why = "Pages of notebooks, dashboards and artifacts are at an address of their own; open it in a browser."
            await error(HTTPStatus.FORBIDDEN, f"{why} Programs send no cookies and a bearer token.")(
                scope, receive, send
            )

    async def _serve_here(self, kind: ContentKind, scope: Scope, receive: Receive, send: Send) -> None:
        main = self._content.origins.of_main(scope)
        await kind.serve(scope, receive, _guarded(send, self._content.policy(kind)), Visit(main, main))

    def _sent_on(self, scope: Scope, own: str) -> Response:
        origin = self._content.origins.of_content(scope, own)
        if origin is None:
            why = f"Set {SETTING} to an address of its own that leads to this service, as https://content.example.com."
            return refused(scope, HTTPStatus.SERVICE_UNAVAILABLE, why)
        principal: Principal = scope["state"]["principal"]
        session: Session | None = scope["state"].get("session")
        main = self._content.origins.of_main(scope)
        given = self._content.tickets.ticket(principal, session.id if session else "", origin, own, main)
        ticket = urlencode({TICKET: given})
        query = "&".join(filter(None, (_without_ticket(scope), ticket)))
        return RedirectResponse(f"{origin}{_path(scope)}?{query}", HTTPStatus.SEE_OTHER, _NO_TRACE)


class ContentDoor:
    """ASGI middleware before the gate: what comes to the content's origin stays there, and gets content or nothing."""

    def __init__(self, app: App, content: Content, settings: Settings, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions
        self._content = content
        self._bounded = Bodies(self._served, settings)  # as everywhere, of those alone who got in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._content.origins.is_content(scope):
            await self._app(scope, receive, send)
            return
        found = self._content.find(scope["path"])
        origin = self._content.origins.of_content(scope, found[1] if found else "")
        if found is None or origin is None or not _is_at(scope, origin):
            words = "There is nothing here; this address shows only notebooks, dashboards and artifacts."
            main = self._content.origins.of_main(scope)
            await refused(scope, HTTPStatus.NOT_FOUND, words, main)(scope, receive, send)
            return
        kind, own = found
        send = _guarded(send, self._content.policy(kind))
        refusal = _foreign(scope, origin)
        try:
            refusal = refusal or await self._swapped(scope, origin, own)
            if refusal is None and not await self._is_known(scope, origin, own):
                refusal = self._sent_back(scope, own)
        except DatabaseUnavailable as failure:
            refusal = error(failure.status, str(failure))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope["submarine.visit"] = kind, Visit(origin, scope["state"]["main"])
        session: Session | None = scope["state"]["session"]
        if session is not None and scope["type"] == "websocket":
            await live.run(self._bounded, scope, receive, send, session, self._sessions)
        else:
            await self._bounded(scope, receive, send)

    @staticmethod
    async def _served(scope: Scope, receive: Receive, send: Send) -> None:
        kind, visit = scope["submarine.visit"]
        await kind.serve(scope, receive, send, visit)

    async def _swapped(self, scope: Scope, origin: str, own: str) -> Response | None:
        """Change a ticket for a pass, and take it out of the address. Raises DatabaseUnavailable."""
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get(TICKET)
        if given is None or not is_navigation(scope):
            return None
        here = _with_query(f"{origin}{_path(scope)}", _without_ticket(scope))
        answer = RedirectResponse(here, HTTPStatus.SEE_OTHER, _NO_TRACE)
        granted = await asyncio.to_thread(self._content.tickets.redeem, given, origin, own)
        if granted is not None:
            secure = origin.startswith("https://")
            answer.set_cookie(
                _pass(origin), granted, PASS_SECONDS, path=own, secure=secure, httponly=True, samesite="lax"
            )
        return answer

    async def _is_known(self, scope: Scope, origin: str, own: str) -> bool:
        """Whether a pass comes along, of somebody who has not signed out; who that is stays in the scope."""
        for value in cookies.values(scope["headers"], [_pass(origin)])[:MOST_PASSES]:
            permit = self._content.tickets.admitted(value, origin, own)
            if permit is None:
                continue
            session = await self._sessions.of_id(permit.session) if permit.session else None
            if session is not None or not permit.session:
                scope.setdefault("state", {}).update(principal=permit.principal, session=session, main=permit.main)
                return True
        return False

    def _sent_back(self, scope: Scope, own: str) -> Response:
        """To the main origin for a ticket, if somebody opens a page."""
        main = self._content.origins.of_main(scope)
        if is_navigation(scope):
            there = _with_query(f"{main}{_path(scope)}", _without_ticket(scope))
            return RedirectResponse(there, HTTPStatus.SEE_OTHER, _NO_TRACE)
        return error(
            HTTPStatus.UNAUTHORIZED,
            f"This page was open for too long, or you signed out; open {main}{own} in another tab.",
        )


def _foreign(scope: Scope, origin: str) -> Response | None:
    """Refuse what a page of another origin sends. Only a link that fills the whole tab may come from one."""
    words = "Only pages of this very address may ask for this."
    said = header(scope, b"origin")
    site, dest = header(scope, b"sec-fetch-site"), header(scope, b"sec-fetch-dest")
    if scope["type"] == "websocket":
        return None if said == origin else error(HTTPStatus.FORBIDDEN, words)
    if said is not None and said != origin:
        return error(HTTPStatus.FORBIDDEN, words)
    if site in (None, "none", "same-origin") or (is_navigation(scope) and dest in (None, "document")):
        return None
    return error(HTTPStatus.FORBIDDEN, words)


def _is_at(scope: Scope, origin: str) -> bool:
    """Whether a request's Host is this origin's: not another name for the same port, not another object's."""
    return f"{origin.split('://')[0]}://{(header(scope, b'host') or '').lower()}" == origin


def _pass(origin: str) -> str:
    return f"__Secure-{_PASS}" if origin.startswith("https://") else _PASS


def _path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.split(b"?")[0].decode("latin-1")


def _without_ticket(scope: Scope) -> str:
    parts = scope["query_string"].decode("latin-1").split("&")
    return "&".join(part for part in parts if part and part.partition("=")[0] != TICKET)


def _with_query(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def _guarded(send: Send, policy: str, keeps_cookies: bool = True) -> Send:
    """Tell the browser what a page may do, whatever the page itself says."""
    own = {
        b"x-content-type-options": b"nosniff",
        b"cross-origin-resource-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"origin-agent-cluster": b"?1",
    }

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [(key.lower(), value) for key, value in message.get("headers", ())]
            # Jupyter looks at the Referer of what its own pages fetch; nobody else gets to see an address.
            referrer = [] if (b"referrer-policy", b"no-referrer") in given else [(b"referrer-policy", b"same-origin")]
            dropped = {*own, *({b"referrer-policy"} if referrer else ()), *(() if keeps_cookies else {b"set-cookie"})}
            kept = [(key, value) for key, value in given if key not in dropped]
            message["headers"] = [*kept, *own.items(), *referrer, (b"content-security-policy", policy.encode())]
        await send(message)

    return guarded
