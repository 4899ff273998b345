"""Artifacts that MLflow's Flask part sends (its pages' previews and downloads), sent by this service in pieces.

Through the bridge from Flask to ASGI a file of any size would be read into memory as fast as the disk gives it, however
slowly somebody reads. So MLflow finds and checks the file, and names it; the file itself goes another way.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from submarine_ray.core.http import Message, Receive, Scope, Send

_FRAMING = frozenset({b"content-length", b"content-range", b"accept-ranges", b"transfer-encoding", b"etag"})


@dataclass(frozen=True)
class _Named:
    file: Path
    clean_up: Callable[[], None] | None


_ANSWER: ContextVar[list[_Named] | None] = ContextVar("file of the answer", default=None)


class _Response(Protocol):
    """Flask's."""

    headers: MutableMapping[str, str]


class Handlers(Protocol):
    """What of the module `mlflow.server.handlers` is used and replaced here."""

    Response: Callable[[], _Response]
    _content_disposition_attachment: Callable[[str], str]
    _create_artifact_file_response: Callable[[str, str], _Response]
    _create_temp_artifact_file_response: Callable[[str, str, Callable[[], None]], _Response]
    _response_with_file_attachment_headers: Callable[[str, _Response], _Response]


def name_files(handlers: Handlers) -> None:
    """Have MLflow's handlers name the file that they would send, where `in_pieces` has asked."""
    local, passing = handlers._create_artifact_file_response, handlers._create_temp_artifact_file_response

    def named(
        file: str, artifact: str, clean_up: Callable[[], None] | None, send: Callable[[], _Response]
    ) -> _Response:
        answer = _ANSWER.get()
        if answer is None or not Path(file).is_file():
            return send()
        answer.append(_Named(Path(file), clean_up))
        response = handlers.Response()
        response.headers["Content-Disposition"] = handlers._content_disposition_attachment(Path(artifact).name)
        return handlers._response_with_file_attachment_headers(file, response)

    def local_named(file: str, artifact: str) -> _Response:
        return named(file, artifact, None, lambda: local(file, artifact))

    def passing_named(file: str, artifact: str, clean_up: Callable[[], None]) -> _Response:
        return named(file, artifact, clean_up, lambda: passing(file, artifact, clean_up))

    handlers._create_artifact_file_response = local_named
    handlers._create_temp_artifact_file_response = passing_named


def in_pieces(scope: Scope, receive: Receive, send: Send) -> Send:
    """`send` for one request to MLflow: where its answer names a file, that is sent in place of the answer's body."""
    answer: list[_Named] = []
    _ANSWER.set(answer)
    is_sent = False

    async def sending(message: Message) -> None:
        nonlocal is_sent
        if is_sent:
            return
        if not answer or message["type"] != "http.response.start" or message["status"] != 200:
            await send(message)
            return
        is_sent = True
        found = answer[0]
        response = FileResponse(found.file, background=BackgroundTask(found.clean_up) if found.clean_up else None)
        own = {name for name, _ in response.raw_headers if name in _FRAMING or name == b"last-modified"}
        theirs = [one for one in message["headers"] if one[0].lower() not in own | _FRAMING]
        names = {name.lower() for name, _ in theirs}
        response.raw_headers[:] = [*theirs, *(one for one in response.raw_headers if one[0] not in names)]
        await response(scope, receive, send)

    return sending
