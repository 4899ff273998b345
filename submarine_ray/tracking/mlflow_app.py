"""MLflow's own server, mounted at /mlflow in this process.

The underscored variables are MLflow 3.17's internals (the version is pinned, tests/api covers them).
With `_MLFLOW_STATIC_PREFIX` the app sees whole paths, which keeps its CORS/CSRF check working; a plain mount loses it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

from submarine_ray.access.origins import served_by
from submarine_ray.core.database import hold_up_nobody
from submarine_ray.core.envelope import error
from submarine_ray.core.http import App, Message, Receive, Scope, Send
from submarine_ray.core.settings import Settings
from submarine_ray.spec import private
from submarine_ray.spec.hosts import PORTS
from submarine_ray.tracking.locations import confine
from submarine_ray.tracking.sending import in_pieces, name_files
from submarine_ray.tracking.served import is_served
from submarine_ray.tracking.strict import refuse_what_is_not_understood

PREFIX = "/mlflow"
DECIDED_SECONDS = 0.05
UPLOADS = tuple(f"{PREFIX}/{api}/2.0/mlflow-artifacts/artifacts/" for api in ("api", "ajax-api"))


def load(settings: Settings) -> App:
    """Configure and import MLflow's server: seconds of imports, and its tables on the first start."""
    url = settings.mlflow_url
    if url.startswith("sqlite:///"):
        _use_wal(Path(url.removeprefix("sqlite:///")))
    # The gate has looked already, and closer: at ports, and at requests that only read.
    hosts = {f"[{one.host}]" if ":" in one.host else one.host for one in served_by(settings)}
    named = [*hosts, *(f"{host.replace('[', '[[]')}:*" for host in hosts)]  # those with a star are patterns
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": url,
        "_MLFLOW_SERVER_REGISTRY_STORE": url,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": settings.artifacts,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_STATIC_PREFIX": PREFIX,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(named),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"{scheme}://{host}" for host in named for scheme in PORTS),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # of no use in a service's log
    }
    from mlflow.server import handlers
    from mlflow.server.fastapi_app import app
    from mlflow.store.tracking import sqlalchemy_store

    confine(handlers, sqlalchemy_store, settings.artifacts)
    refuse_what_is_not_understood(handlers)
    name_files(handlers)
    for store in (handlers._get_tracking_store(), handlers._get_model_registry_store()):
        hold_up_nobody(store.engine)
        store.engine.dispose()  # the connections that it has opened already
    return app  # type: ignore[no-any-return]


def _use_wal(path: Path) -> None:
    """Readers and the writer side by side; the mode stays with the file."""
    with closing(sqlite3.connect(private.file(path), timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


class TrackingMount:
    """ASGI middleware: /mlflow goes to MLflow as soon as it is loaded, everything else to the app."""

    def __init__(self, app: App, loaded: Callable[[], App], is_decided: Callable[[], bool]) -> None:
        self._app = app
        self._loaded = loaded
        self._is_decided = is_decided

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] not in ("http", "websocket") or not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            await self._app(scope, receive, send)
            return
        if not is_served(path.removeprefix(PREFIX)):
            await error(HTTPStatus.NOT_FOUND, "This part of MLflow is not served here.")(scope, receive, send)
            return
        while not self._is_decided():  # for seconds after a start; a thread for each who waits would hold up all others
            await asyncio.sleep(DECIDED_SECONDS)
        mlflow = self._loaded()
        scope = _streamed(scope)
        is_own_page = path in (PREFIX, f"{PREFIX}/") or path.startswith(f"{PREFIX}/static-files/")
        if is_own_page:
            await mlflow(scope, receive, send)
        else:
            answer = _sandboxed(send)
            await mlflow(scope, receive, in_pieces(scope, receive, answer) if scope["type"] == "http" else answer)


def _streamed(scope: Scope) -> Scope:
    """Uploads of artifacts go to MLflow's route that writes them as they come.

    It knows no prefix; under ours MLflow's other server takes them, which holds two of each in memory.
    """
    path: str = scope["path"]
    if scope.get("method") != "PUT" or not path.startswith(UPLOADS):
        return scope
    return {**scope, "path": path.removeprefix(PREFIX), "raw_path": scope["raw_path"].removeprefix(PREFIX.encode())}


def _sandboxed(send: Send) -> Send:
    """Whatever a browser takes an artifact for, it runs no script and has no origin (docs/security.md)."""

    async def sandboxed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = ((b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff"))
            kept = [one for one in message.get("headers", ()) if one[0].lower() != b"x-content-type-options"]
            message["headers"] = [*kept, *own]
        await send(message)

    return sandboxed
