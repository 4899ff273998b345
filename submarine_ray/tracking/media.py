"""Images, tables and the like: taken from runners, stored as artifacts where MLflow has them, and found again."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from submarine_ray.core.errors import InvalidSpec, NotFound, SubmarineError, TooLarge, TrackingUnavailable
from submarine_ray.spec.answers.media import MediaGroup, MediaItem, Wanted
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MediaHeader, WrongMedia
from submarine_ray.spec.tags import IMAGES_TAG, TABLES_TAG
from submarine_ray.tracking.media_index import Entry, MediaIndex, Runs
from submarine_ray.tracking.service import TrackingService

MAX_READ = 10_000  # items of a batch
# As long a text is kept in the index too.
_SHORT = 16_384
_LISTED_TABLES = 40  # a tag has at most 8,000 characters
_ADOPT_SECONDS = 10.0
_RUN = re.compile(r"[A-Za-z0-9_-]{1,32}")
# The names that `mlflow.log_image` gives its files; older ones have `%` for `+`.
_IMAGE_NAME = re.compile(
    r"(?P<key>.+)[+%]step[+%](?P<step>-?\d{1,19})[+%]timestamp[+%](?P<timestamp>\d{1,18})[+%](?P<name>[0-9a-f-]{36})"
)


class MediaService:
    """What runners store and readers find. Its methods wait for databases and artifacts: call them on a thread."""

    def __init__(self, tracking: TrackingService) -> None:
        self._tracking = tracking
        self._adopted: dict[str, tuple[float, int]] = {}  # when a run's images were listed, and how many there were
        self._lock = threading.Lock()

    def take(self, run_id: str, batch: bytes) -> int:
        """Store a batch, each of its items once; how many they are.

        Raises InvalidSpec, TooLarge: the batch cannot be stored as it is. Raises NotFound: there is no such run.
        """
        if not self._tracking.is_ready:  # senders come again; a thread that waits would be missing elsewhere
            raise TrackingUnavailable("MLflow is still starting; try again in a moment.")
        if not _RUN.fullmatch(run_id):
            raise InvalidSpec(f"{run_id[:64]!r} is not the id of a run", "run")
        if len(batch) > media.MAX_BATCH_BYTES:
            raise TooLarge(f"The batch is larger than {media.MAX_BATCH_BYTES} bytes; send several.")
        try:
            found = list(media.items(batch))
        except WrongMedia as failure:
            raise InvalidSpec(str(failure), "the body") from failure
        if len(found) > MAX_READ:
            raise TooLarge(f"The batch has {len(found)} items; at most {MAX_READ} are taken at once.")
        self._index.check_run(run_id)
        if found:
            with tempfile.TemporaryDirectory(prefix="submarine-media-") as directory:
                for item in found:
                    _write(Path(directory) / item.header.path, item.content)
                    if item.preview:
                        _write(Path(directory) / item.header.preview_path, item.preview)
                self._tracking.put_directory(run_id, Path(directory))
            # Only now: what the index knows is there. A batch that broke off before is sent again.
            self._index.add(run_id, [_entry(item) for item in found])
            self._mark(run_id, [item.header for item in found])
        return len(found)

    def groups(self, runs: Runs) -> list[MediaGroup]:
        """What some runs have, by kind and key."""
        self._adopt(runs)
        return self._index.groups(list(runs)) if runs else []

    def has_any(self, runs: Runs) -> bool:
        """Whether some runs have anything; cheap enough to ask at each change."""
        return bool(runs) and (bool(self._index.counts(list(runs))) or bool(self.groups(runs)))

    def steps(self, runs: Runs, kind: str, key: str) -> list[int]:
        """The steps at which something was logged with a key, in order."""
        return self._index.steps(list(runs), kind, key)

    def items(self, runs: Runs, wanted: Wanted, limit: int, offset: int = 0) -> tuple[list[MediaItem], int]:
        """Items by kind, key, step, replica and time, `limit` of them from `offset` on; and how many there are."""
        self._adopt(runs)
        return self._index.items(runs, wanted, limit, offset) if runs else ([], 0)

    def histograms(self, runs: Runs, key: str, steps: Collection[int]) -> list[tuple[MediaItem, str]]:
        """The histograms of some steps, as they were logged, by step."""
        return self._index.contents(runs, media.HISTOGRAM, key, steps)

    def read(self, item: MediaItem, limit: int = media.MAX_BYTES) -> bytes:
        """The content of an item, or its first `limit` bytes. Raises NotFound."""
        with self._tracking.artifact(item.run_id, item.path) as file, file.open("rb") as opened:
            return opened.read(limit)

    @contextmanager
    def file(self, experiment_id: str, name: str, preview: bool = False) -> Iterator[tuple[Path, MediaHeader]]:
        """An item of an experiment as a file, while the context lasts. Raises NotFound."""
        place = next((one for one in self._index.place(name) if one.experiment_id == experiment_id), None)
        if place is None:
            raise NotFound(f"{experiment_id} has logged nothing with the name {name[:64]!r}.")
        path = place.header.preview_path if preview and place.header.preview else place.header.path
        with self._tracking.file(place.artifact_uri, path) as file:
            yield file, place.header

    @property
    def _index(self) -> MediaIndex:
        return self._tracking.media_index

    def _mark(self, run_id: str, headers: Sequence[MediaHeader]) -> None:
        """Tell MLflow's pages what there is, in MLflow's own tags."""
        client = self._tracking.client()
        if any(header.kind == media.IMAGE for header in headers):
            client.set_tag(run_id, IMAGES_TAG, "True")
        tables = [{"path": one.path, "type": "table"} for one in headers if one.kind in (media.TABLE, *media.CHARTED)]
        if tables:
            try:
                known = json.loads(self._index.with_tag([run_id], TABLES_TAG).get(run_id, "[]"))
            except ValueError:  # a script's own
                return
            listed = [*(one for one in known if one not in tables), *tables][-_LISTED_TABLES:]
            client.set_tag(run_id, TABLES_TAG, json.dumps(listed, separators=(",", ":")))

    def _adopt(self, runs: Runs) -> None:
        """Add to the index the images that scripts have logged by `mlflow.log_image`."""
        with self._lock:
            now = time.monotonic()
            due = [run for run in runs if now - self._adopted.get(run, (-_ADOPT_SECONDS, 0))[0] >= _ADOPT_SECONDS]
        if not due:
            return
        for run in self._index.with_tag(due, IMAGES_TAG):
            try:
                listed = self._tracking.list_artifacts(run, "images")
            except SubmarineError:  # its artifacts are away: what the index knows is shown
                continue
            if self._adopted.get(run, (0.0, 0))[1] != len(listed):
                self._index.add(run, list(_images({PurePosixPath(one.path).name: one.size or 0 for one in listed})))
            self._remember(run, len(listed))
        for run in due:
            self._remember(run, self._adopted.get(run, (0.0, 0))[1])

    def _remember(self, run: str, count: int) -> None:
        with self._lock:
            if len(self._adopted) > MAX_READ:
                self._adopted.clear()
            self._adopted[run] = (time.monotonic(), count)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def _entry(item: media.MediaItem) -> Entry:
    is_short = item.header.kind in (media.HISTOGRAM, media.TEXT) and item.header.size <= _SHORT
    return Entry(item.header, item.content.decode(errors="replace") if is_short else None)


def _images(found: dict[str, int]) -> Iterator[Entry]:
    """The images among files, by name and size, as far as they can be found again under that name."""
    for file, size in found.items():
        stem, _, suffix = file.rpartition(".")
        match = _IMAGE_NAME.fullmatch(stem)
        if match is None or suffix != "png":
            continue
        preview = found.get(f"{stem}+compressed.webp", 0)
        header = {"kind": media.IMAGE, "suffix": suffix, "size": min(size, media.MAX_BYTES), "preview": min(preview, 1)}
        header |= {"step": int(match["step"]), "timestamp": int(match["timestamp"]), "name": match["name"]}
        try:
            one = MediaHeader.read(json.dumps(header | {"key": match["key"].replace("~", "/")}).encode())
        except WrongMedia:
            continue
        if PurePosixPath(one.path).name == file:
            yield Entry(one)
