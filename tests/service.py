"""A control service on a port of its own, in this process: for tests of what only real connections show."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from submarine_ray.access.connections import PeerProtocol
from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from submarine_ray.tracking.runs import OpenedRun
from submarine_ray.tracking.service import TrackingService
from tests.conftest import START_SECONDS, free_port, wait_until


@contextlib.contextmanager
def serving(home: Path, **settings: Any) -> Iterator[tuple[str, Platform]]:
    """Its URL and its inside, until the context ends."""
    port = free_port()
    app = build(Settings(home=home, port=port, allow_cluster_networks="127.0.0.0/8", **settings))  # type: ignore[arg-type]
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, http=PeerProtocol, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    # MLflow's server is configured once a process: the app that other tests share keeps it.
    with patch("submarine_ray.tracking.service.load", lambda _settings: build):
        thread.start()
        wait_until(lambda: app.state.platform.tracking.is_decided, START_SECONDS, "it has been loaded")
    wait_until(lambda: server.started, START_SECONDS, "the service listens")
    try:
        yield f"http://127.0.0.1:{port}", app.state.platform
    finally:
        server.should_exit = True
        thread.join(30)


def without_mlflow(app: FastAPI, url: str) -> TestClient:
    """A client of an app whose background work does not begin; MLflow keeps one store a process, which stays others'."""
    platform: Platform = app.state.platform
    platform.database.migrate()
    platform.clusters.ensure_local()
    platform.clusters.load_configurations()
    return TestClient(app, base_url=url, follow_redirects=False)


def put_texts(tracking: TrackingService, run: str, texts: dict[str, str]) -> None:
    """Store texts as artifacts of a run, by their path."""
    with TemporaryDirectory() as directory:
        for path, text in texts.items():
            file = Path(directory) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        tracking.put_directory(run, Path(directory))


def own_run(tracking: TrackingService, experiment_id: str, name: str = "test") -> OpenedRun:
    """The MLflow run of an experiment, as the reconciler makes it."""
    return tracking.open_run(uuid.uuid4().hex, name, experiment_id, "worker-0", {})


def read_artifact(tracking: TrackingService, run: str, path: str) -> bytes:
    """An artifact's content."""
    with tracking.artifact(run, path) as file:
        return file.read_bytes()


@contextlib.contextmanager
def silence() -> Iterator[tuple[str, list[Any]]]:
    """The address of a listener that accepts and never answers, and the connections that it has taken."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        taken: list[Any] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
        finally:
            for connection in taken:
                connection.close()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
