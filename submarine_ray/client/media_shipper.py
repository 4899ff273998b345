"""Brings queued images, tables and the like to the tracking server, from a thread beside that of the metrics.

Our own service takes many items in a request, and stores each once, whoever sends it again. Of another MLflow server
the artifact proxy takes the files. Standard library only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from submarine_ray.client import media_queue
from submarine_ray.client.mlflow_rest import MlflowRest
from submarine_ray.client.spool import Run, TrackingRefused
from submarine_ray.spec.launch import NOT_STORED
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MediaHeader, MediaItem, WrongMedia
from submarine_ray.spec.tags import IMAGES_TAG

BATCH_BYTES = 4 * 2**20
BATCH_ITEMS = 200
SHIP_SECONDS = 0.5
MAX_WARNINGS = 20
_LOOK_SECONDS = 0.2
_MOUNT = "/mlflow"  # where our service mounts MLflow
_HEADERS = {"Content-Type": "application/octet-stream"}
_PROXIED = "mlflow-artifacts"


class MediaShipper:
    """Sends what a queue holds, and goes on until closed; a server that is away is waited for.

    `run_id` is the replica's own run; `is_ours` says that the server is our service, and not another MLflow. An item
    that the server does not take costs itself alone; `warn` is told of it, in a line, MAX_WARNINGS times at most.
    """

    def __init__(self, directory: Path, run: Run, run_id: str, is_ours: bool, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._run_id = run_id
        self._is_ours = is_ours
        self._warn = warn
        self._rest = MlflowRest(run)
        self._files = ""
        self._sent = 0
        self._closing = threading.Event()
        self._is_complete = False
        self.refused = 0
        self._thread = threading.Thread(target=self._work, name="media", daemon=True)
        self._thread.start()

    def close(self, patience: float, deadline: Callable[[], float], keeps: bool) -> bool:
        """Send the rest, as long as it moves within `patience` seconds and until the `deadline`; False, and a warning,
        if something is left or was refused. `keeps`: what is left is stored by the service.
        """
        self._closing.set()
        sent, until = self._sent, time.monotonic() + patience
        while self._thread.is_alive() and (now := time.monotonic()) < min(until, deadline()):
            self._thread.join(min(_LOOK_SECONDS, max(0.0, until - now)))
            if self._sent != sent:
                sent, until = self._sent, time.monotonic() + patience
        if self._thread.is_alive():
            left = f"{len(media_queue.waiting(self._directory)):,} images, tables or other files"
            why = "the tracking server was too slow, or the replica was stopped"
            said = f"[submarine] {left} are left for the service to store" if keeps else f"{NOT_STORED}{left}"
            self._warn(f"{said}: {why}")
        elif self.refused > MAX_WARNINGS:
            self._warn(f"{NOT_STORED}{self.refused - MAX_WARNINGS} more images, tables or other files")
        return self._is_complete and not self.refused

    def _work(self) -> None:
        while not self._is_complete:
            closing = self._closing.is_set()  # read before the directory: what was logged before closing is sent
            try:
                more = self._ship()
            except OSError:
                self._closing.wait(1.0) if not closing else time.sleep(1.0)
                continue
            except TrackingRefused as failure:
                self._refuse("the images, tables and other files that this replica logs", failure)
                return
            self._is_complete = closing and not more
            if not more:
                self._closing.wait(SHIP_SECONDS)

    def _ship(self) -> bool:
        """Send some items; whether there were any. Raises OSError, TrackingRefused if the run takes nothing."""
        found: list[Path] = []
        size = 0
        for file in media_queue.waiting(self._directory)[:BATCH_ITEMS]:
            size += file.stat().st_size
            if found and size > BATCH_BYTES:
                break
            found.append(file)
        if found:
            self._send(found)
            self._sent += len(found)
        return bool(found)

    def _send(self, files: Sequence[Path]) -> None:
        """Send items; of a batch that is refused, all but those that are really not wanted."""
        content = b"".join(file.read_bytes() for file in files)
        try:
            if self._is_ours:
                prefix = self._rest.prefix.removesuffix(_MOUNT)
                self._rest.call("POST", prefix + media.path(self._run_id), content, _HEADERS)
            else:
                for item in media.items(content):
                    self._put(item)
        except (TrackingRefused, WrongMedia) as failure:
            if isinstance(failure, TrackingRefused) and failure.is_of_the_run:
                raise
            if len(files) > 1:
                for file in files:
                    self._send([file])
                return
            self._refuse(_what(content), failure)
        for file in files:
            file.unlink(missing_ok=True)

    def _put(self, item: MediaItem) -> None:
        """By the artifact proxy of an MLflow server that is not ours. Raises OSError, TrackingRefused."""
        if not self._files:
            uri = str(self._rest.get(f"runs/get?run_id={self._run_id}")["run"]["info"]["artifact_uri"])
            parts = urlsplit(uri)
            if parts.scheme != _PROXIED:
                why = f"this MLflow server takes no files by HTTP (they lie at {parts.scheme}:)"
                raise TrackingRefused(f"{why}; use mlflow.log_artifact", 403)
            self._files = f"{self._rest.prefix}/api/2.0/mlflow-artifacts/artifacts/{quote(parts.path.strip('/'))}"
        header = item.header
        self._rest.call("PUT", f"{self._files}/{quote(header.path)}", item.content, _HEADERS)
        if item.preview:
            self._rest.call("PUT", f"{self._files}/{quote(header.preview_path)}", item.preview, _HEADERS)
        if header.kind == media.IMAGE:
            self._rest.tag(self._run_id, {IMAGES_TAG: "True"})

    def _refuse(self, what: str, failure: Exception) -> None:
        if self.refused < MAX_WARNINGS:
            self._warn(f"{NOT_STORED}{what}: {' '.join(str(failure).split())}")
        self.refused += 1


def _what(content: bytes) -> str:
    try:
        header = MediaHeader.read(content.partition(b"\n")[0])
    except WrongMedia:
        return "a damaged item"
    return f"{header.kind} {json.dumps(header.key)} at step {header.step}"
