"""What an attempt's replicas logged and could not send, read from their spools on a disk of this machine.

The spools belong to users' processes: they are read as anybody's input, and go nowhere but into the experiment's runs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.core.errors import InvalidSpec, NotFound, TooLarge
from submarine_ray.spec.spool import media_queue, writer_file
from submarine_ray.spec.spool.batches import Batch, Points, Row
from submarine_ray.spec.spool.lines import PIECE_BYTES, Piece, first, metric
from submarine_ray.spec.spool.media import ITEM_SUFFIX, MAX_BATCH_BYTES
from submarine_ray.tracking.batches import checked_writer
from submarine_ray.tracking.media import MediaService
from submarine_ray.tracking.service import TrackingService

# Of one spool, some ten million points: what is more is told and stays where it is.
MAX_BYTES = 512 * 2**20
MAX_ITEMS = 20_000
_WRITER_BYTES = 64


@dataclass
class Left:
    """What a replica had left: how many points and how many items (images, tables and the like) are stored now; of what
    is not, the first in words, and how many.
    """

    replica: str
    points: int = 0
    items: int = 0
    first: str = ""
    refused: int = 0

    def refuse(self, records: Iterable[str]) -> None:
        for what in records:
            self.first = self.first or what
            self.refused += 1


def load(tracking: TrackingService, run_id: str, experiment_id: str, spools: Mapping[str, Path]) -> list[Left]:
    """Store what is left in an ended attempt's spools, by replica. Those that left nothing are not among the answer.

    Raises DatabaseUnavailable, TrackingUnavailable: the same again later doubles nothing.
    """
    found = []
    for replica, path in spools.items():
        left = Left(replica)
        with contextlib.suppress(FileNotFoundError, _RunGone):
            try:
                _read(tracking, path, run_id, experiment_id, left)
            except FileNotFoundError:
                raise
            except OSError as failure:
                left.refuse([f"what stands in its file, which cannot be read: {failure.strerror}"])
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, _RunGone):
            _store_media(tracking, media_queue(path), run_id, experiment_id, left)
        if left.points or left.items or left.refused:
            found.append(left)
    return found


def _read(tracking: TrackingService, path: Path, run_id: str, experiment_id: str, left: Left) -> None:
    with _opened(path) as file:
        size = os.fstat(file).st_size
        spool = _Spool(file, min(size, MAX_BYTES), _writer(path))
        if _stored(tracking, run_id, spool.writer) >= size:  # most often
            return
        _load(tracking, spool, run_id, experiment_id, left)
        if size > MAX_BYTES:
            left.refuse([f"what stands behind the first {MAX_BYTES >> 20} MiB of its file"])


def _store_media(tracking: TrackingService, queue: Path, run_id: str, experiment_id: str, left: Left) -> None:
    """Store what waits in a queue of images and the like. Raises FileNotFoundError: there is none."""
    if queue.is_symlink():
        return
    names = sorted(name for name in os.listdir(queue) if name.endswith(ITEM_SUFFIX))  # noqa: PTH208
    run = ""
    for name in names[:MAX_ITEMS]:
        with contextlib.suppress(FileNotFoundError), _opened(queue / name) as file:
            content = os.pread(file, MAX_BATCH_BYTES + 1, 0)
            run = run or _run_of(tracking, run_id, left.replica)
            run = run or tracking.replica_run(run_id, experiment_id, left.replica)
            try:
                left.items += MediaService(tracking).take(run, content)
            except (InvalidSpec, TooLarge) as failure:
                left.refuse([f"an image, a table or the like: {failure}"])
    if len(names) > MAX_ITEMS:
        left.refuse([f"images, tables and the like behind the first {MAX_ITEMS}"])


def _run_of(tracking: TrackingService, run_id: str, replica: str) -> str:
    """A replica's run; empty if it has none yet."""
    try:
        runs = tracking.runs(run_id)
    except (NotFound, InvalidSpec) as failure:
        raise _RunGone from failure
    return next((run for run, known in reversed(runs.items()) if known == replica), "")


class _RunGone(Exception):
    """The user has deleted the run: nothing is wanted in it any more."""


def _stored(tracking: TrackingService, run_id: str, writer: str) -> int:
    try:
        return tracking.points.stored(run_id, writer)
    except (NotFound, InvalidSpec) as failure:
        raise _RunGone from failure


@dataclass(frozen=True)
class _Spool:
    file: int
    size: int
    writer: str

    def pieces(self, offset: int) -> Iterator[Piece]:
        while offset < self.size and (piece := first(os.pread(self.file, PIECE_BYTES, offset), offset)):
            yield piece
            offset = piece.end


def _load(tracking: TrackingService, spool: _Spool, run_id: str, experiment_id: str, left: Left) -> None:
    run = _run_of(tracking, run_id, left.replica)
    stored = _stored(tracking, run, spool.writer) if run else 0
    for piece in spool.pieces(stored):
        run = run or tracking.replica_run(run_id, experiment_id, left.replica)
        left.refuse([*piece.refused, *tracking.log_params(run, piece.params)])
        _append(tracking, run, spool.writer, piece.rows, piece.ends, left)


def _append(
    tracking: TrackingService, run: str, writer: str, rows: Sequence[Row], ends: Sequence[int], left: Left
) -> None:
    """Store rows; of those that are refused, all but the ones that cannot be stored."""
    if not rows:
        return
    try:
        tracking.points.append(run, Batch(writer, None, ends[-1], Points.of(rows)))
        left.points += len(rows)
    except (InvalidSpec, TooLarge) as failure:
        half = len(rows) // 2
        if half == 0:
            left.refuse([f"{metric(rows[0])}: {failure}"])
            return
        _append(tracking, run, writer, rows[:half], ends[:half], left)
        _append(tracking, run, writer, rows[half:], ends[half:], left)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file of its own: a link or a pipe in its place is none. Raises FileNotFoundError, OSError."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        if failure.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(errno.ENOENT, "a link or a socket", str(path)) from failure
        raise
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
        yield file
    finally:
        os.close(file)


def _writer(spool: Path) -> str:
    """By whom the spool was sent so far; where nobody began to, a name of its own."""
    try:
        with _opened(writer_file(spool)) as file:
            return checked_writer(os.read(file, _WRITER_BYTES).decode(errors="replace"))
    except (OSError, InvalidSpec):
        return hashlib.sha256(os.fsencode(spool)).hexdigest()
