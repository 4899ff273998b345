"""ASGI middleware that limits the size and depth of bodies, for all routes and mounted apps, and uncompresses them.

What our own API gets as JSON or YAML is read here, in a thread, and once; `core.documents` takes it from the scope.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.responses import Response

from submarine_ray.core.envelope import error
from submarine_ray.core.http import App, Message, Receive, Scope, Send
from submarine_ray.core.limits.encodings import CannotExpand, TooMuch, expanded, is_known
from submarine_ray.core.limits.room import Room, off_the_loop
from submarine_ray.core.limits.table import MIB, Bound, Table, Way
from submarine_ray.core.settings import Settings
from submarine_ray.spec import bounds, documents
from submarine_ray.spec.json_types import Json

DOCUMENT = "submarine.document"
"""Where in the scope a body lies that has been read; or why it was not, which a route may say later."""
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
WHOLE_BODIES = 256 * MIB  # of all requests together, as they are sent
OF_ONE = WHOLE_BODIES // 4  # of one experiment, notebook or endpoint, which may send as slowly as it is let
READ_DOCUMENTS = 512 * MIB  # of all requests together, as Python has them
WEIGHT = 32  # a byte of JSON is up to so many bytes of Python's objects
SMALL = 2**16  # bodies up to here find room whatever others hold


class Refused(Exception):
    """The request ends here, with this answer."""

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.answer: Response = error(status, message)
        self.answer.headers.update(headers or {})


class Bodies:
    """Stands before all mounts, behind the gate: who may not ask sends nothing that is read."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._table = Table(settings)
        self._held = 0
        self._held_of = Counter[str]()
        self._room = Room(READ_DOCUMENTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        bound = self._table.of(scope["path"])
        try:
            _check_length(headers.get(b"content-length"), bound)
            if b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0":
                await self._app(scope, receive, send)
            elif bound.way is Way.STREAM:
                await _streamed(self._app, bound, scope, receive, send)
            else:
                await self._whole(bound, headers, scope, receive, send)
        except Refused as refusal:
            await refusal.answer(scope, receive, send)

    async def _whole(
        self, bound: Bound, headers: dict[bytes, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        encodings = _encodings(headers)
        async with self._read(receive, bound, _sender(scope)) as sent:
            if sent is None:
                return  # the client has gone
            body = sent
            if encodings:
                body = await off_the_loop(lambda: _expanded(sent, encodings, bound))
            kind = headers.get(b"content-type", b"").decode("latin-1").split(";")[0].strip().lower()
            is_yaml = kind in _YAML_TYPES
            if bound.way is Way.DOCUMENT and body and (is_yaml or kind == "application/json" or kind.endswith("+json")):
                async with self._room.taken(len(body) * WEIGHT):
                    document: Json | Refused
                    try:
                        document, body = await off_the_loop(lambda: _document(body, is_yaml))
                    except Refused as refusal:
                        document, body = refusal, b""
                    scope = {**with_body(scope, body, "application/json"), DOCUMENT: document}
                    await self._app(scope, replayed(body, receive), send)
                return
            if body:
                await off_the_loop(lambda: _scanned(body, bound))
            await self._app(with_body(scope, body) if encodings else scope, replayed(body, receive), send)

    @asynccontextmanager
    async def _read(self, receive: Receive, bound: Bound, sender: str) -> AsyncIterator[bytes | None]:
        """The whole body, as long as it is needed; None if the client went away before its end."""
        pieces: list[bytes] = []
        size = counted = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    yield None
                    return
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > bound.bytes:
                    raise _too_large(bound)
                if size > SMALL and not self._has_room(size - counted, sender):
                    raise Refused(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "Too many large requests are being read; send it again in a moment.",
                        {"Retry-After": "1"},
                    )
                self._hold(size - counted, sender)
                counted = size
                if not message.get("more_body"):
                    break
            yield b"".join(pieces)
        finally:
            self._hold(-counted, sender)

    def _has_room(self, more: int, sender: str) -> bool:
        return self._held + more <= WHOLE_BODIES and (not sender or self._held_of[sender] + more <= OF_ONE)

    def _hold(self, more: int, sender: str) -> None:
        self._held += more
        self._held_of[sender] += more
        if not self._held_of[sender]:
            del self._held_of[sender]


def _sender(scope: Scope) -> str:
    """Who sends a body, where that is nobody who may do everything anyway."""
    principal = scope.get("state", {}).get("principal")
    return "" if principal is None or principal.kind == "administrator" else f"{principal.kind} {principal.name}"


def _check_length(said: bytes | None, bound: Bound) -> None:
    if said is not None and said.isdigit() and (len(said) > 18 or int(said) > bound.bytes):
        raise _too_large(bound)


def _too_large(bound: Bound) -> Refused:
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, bound.sentence)


def _encodings(headers: dict[bytes, bytes]) -> list[str]:
    said = headers.get(b"content-encoding", b"").decode("latin-1").lower()
    found = [one for one in (part.strip() for part in said.split(",")) if one]
    if not is_known(found) or len(found) > 2:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The Content-Encoding {said[:80]!r} is not read here; use gzip, deflate or none.",
            {"Accept-Encoding": "gzip, deflate, identity"},
        )
    return found


def _expanded(body: bytes, encodings: list[str], bound: Bound) -> bytes:
    try:
        return expanded(body, encodings, bound.bytes)
    except TooMuch as failure:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Uncompressed: {bound.sentence}") from failure
    except CannotExpand as failure:
        raise Refused(HTTPStatus.BAD_REQUEST, str(failure)) from failure


def _document(body: bytes, is_yaml: bool) -> tuple[Json, bytes]:
    """The document, and the body as JSON."""
    try:
        document = documents.load(body) if is_yaml else bounds.read_json(body)
    except documents.NotYaml as failure:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not valid YAML: {failure}") from failure
    except bounds.OutOfBounds as failure:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body {failure}") from failure
    try:
        bounds.check(document)
    except bounds.OutOfBounds as failure:
        raise Refused(HTTPStatus.BAD_REQUEST, str(failure)) from failure
    return document, json.dumps(document).encode() if is_yaml else body


def _scanned(body: bytes, bound: Bound) -> None:
    found = bounds.json_in(body)
    try:
        if found is not None:
            bounds.scan(found, bound.nodes, bound.nests_in_texts)
    except bounds.OutOfBounds as failure:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body {failure}") from failure


def with_body(scope: Scope, body: bytes, kind: str | None = None) -> Scope:
    """The scope of a request with this body, not compressed."""
    replaced = {b"content-length", b"content-encoding", b"transfer-encoding"} | ({b"content-type"} if kind else set())
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in replaced]
    headers.append((b"content-length", str(len(body)).encode()))
    if kind:
        headers.append((b"content-type", kind.encode()))
    return {**scope, "headers": headers}


def replayed(body: bytes, receive: Receive) -> Receive:
    """What gives the application this body, in place of what was read of it."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _streamed(app: App, bound: Bound, scope: Scope, receive: Receive, send: Send) -> None:
    """Count what passes. Beyond the bound the app fails, so that it keeps no part, and the client is told."""
    size = 0
    is_over = has_begun = False

    async def counted() -> Message:
        nonlocal size, is_over
        message = await receive()
        size += len(message.get("body", b""))
        if size > bound.bytes:
            is_over = True
            raise _too_large(bound)
        return message

    async def answered(message: Message) -> None:
        nonlocal has_begun
        if is_over and not has_begun:
            return  # whatever the app makes of it
        has_begun = True
        await send(message)

    try:
        await app(scope, counted, answered)
    except Exception:
        if not is_over:
            raise
    if is_over and not has_begun:
        raise _too_large(bound)
