"""Deletions by MLflow's own routes: who deleted what and when is kept of them, as of ours."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import NamedTuple

import structlog

from submarine_ray.access.asked import Asked, Unreadable
from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.http import App, Message, Receive, Scope, Send
from submarine_ray.spec.deletions import DeletedKind as Kind
from submarine_ray.tracking.mlflow_app import PREFIX

log = structlog.get_logger(__name__)

# By what stands behind /api/2.0/mlflow/ and its like: what it deletes, and which fields of the request say which one.
_BY_BODY = {
    "experiments/delete": (Kind.MLFLOW_EXPERIMENT, ("experiment_id",)),
    "runs/delete": (Kind.RUN, ("run_id",)),
    "registered-models/delete": (Kind.MODEL, ("name",)),
    "model-versions/delete": (Kind.MODEL_VERSION, ("name", "version")),
    "traces/delete-traces": (Kind.TRACES, ("experiment_id",)),
}
_BY_PATH = {"logged-models": Kind.LOGGED_MODEL, "datasets": Kind.DATASET}
LONGEST_BODY = 1_000_000


class Deleted(NamedTuple):
    """What a request deletes, if it is answered well."""

    kind: Kind
    subject: str
    name: str


class MlflowDeletions:
    """ASGI middleware around MLflow: a deletion that it answers with 200 leaves a tombstone before it is answered."""

    def __init__(self, app: App, tombstones: Tombstones) -> None:
        self._app = app
        self._tombstones = tombstones

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _may_delete(scope):
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                await self._bury(scope, bytes(body))
            await send(message)

        async def read() -> Message:
            message = await receive()
            if len(body) < LONGEST_BODY:
                body.extend(message.get("body", b""))
            return message

        await self._app(scope, read, noted)

    async def _bury(self, scope: Scope, body: bytes) -> None:
        try:
            found = deleted(scope, body)
            if found:
                await asyncio.to_thread(self._tombstones.bury, *found)
        except (DatabaseUnavailable, Unreadable) as failure:  # it is deleted already
            log.error("deletion.not_kept", path=scope["path"], why=str(failure))


def deleted(scope: Scope, body: bytes) -> Deleted | None:
    """What a request of MLflow's API deletes. Raises Unreadable."""
    words = _words(scope["path"])
    if words is None:
        return None
    family, below = words[0], "/".join(words[1:])
    if family == "mlflow-artifacts":
        is_file = scope["method"] == "DELETE" and words[1:2] == ["artifacts"]
        path = "/".join(words[2:])
        return Deleted(Kind.ARTIFACT, path, path) if is_file else None
    if below in _BY_BODY:
        kind, fields = _BY_BODY[below]
        asked = Asked.of(scope)
        asked.read(body)
        said = [next(iter(asked.said(field)), "") for field in fields]
        return Deleted(kind, "/".join(said), said[0])
    if scope["method"] == "DELETE" and len(words) == 3 and words[1] in _BY_PATH:
        return Deleted(_BY_PATH[words[1]], words[2], words[2])
    return None


def _may_delete(scope: Scope) -> bool:
    """Whether it is worth a look: what logs metrics, the most by far, is passed on as it is."""
    words = _words(scope["path"])
    return words is not None and (scope["method"] == "DELETE" or "/".join(words[1:]) in _BY_BODY)


def _words(path: str) -> list[str] | None:
    """What follows /mlflow/api/2.0/ in a path; None of pages and of what is not MLflow's."""
    if not path.startswith(f"{PREFIX}/"):
        return None
    words = [word for word in path.removeprefix(f"{PREFIX}/").split("/") if word]
    is_api = len(words) > 3 and words[0] in ("api", "ajax-api")
    return words[2:] if is_api else None
