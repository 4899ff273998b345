"""The directory in which items wait until they are sent: a file each, whole or not there.

The training process adds files, what ships them deletes them. So what was logged before a crash is sent as well, and
the disk holds no more than what is still to be sent. Standard library only: this runs beside every replica.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from pathlib import Path

from submarine_ray.spec.spool.media import ITEM_SUFFIX, MediaItem

_PARTIAL = ".part"
_numbers = itertools.count()


def put(directory: Path, item: MediaItem) -> None:
    """Add an item. Raises OSError: the disk is full."""
    directory.mkdir(parents=True, exist_ok=True)
    # In the order in which they were logged; the number tells apart what one clock tick has logged.
    name = f"{time.time_ns():020d}-{next(_numbers) % 10**6:06d}-{item.header.name}"
    partial = directory / f"{name}{_PARTIAL}"
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(item.written())
        partial.rename(directory / f"{name}{ITEM_SUFFIX}")
    except OSError as failure:
        with contextlib.suppress(OSError):
            partial.unlink()
        what = f"{item.header.kind} {item.header.key!r} was not logged: {failure.strerror or failure}"
        raise OSError(failure.errno or errno.EIO, what) from failure


def waiting(directory: Path) -> list[Path]:
    """The items that are still to be sent, in the order in which they were logged."""
    try:
        return sorted(directory / name for name in os.listdir(directory) if name.endswith(ITEM_SUFFIX))  # noqa: PTH208
    except FileNotFoundError:
        return []
