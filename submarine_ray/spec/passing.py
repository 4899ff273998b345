"""Passing directories in the system's place for temporary files: known as ours by their names, as in use by a lock.

Whoever makes one removes it; what a process that was killed has left, `sweep` removes a day later. The lock is the
kernel's, so it goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

OLD_SECONDS = 24 * 3600.0
KINDS = ("artifact", "function", "log", "replica", "trial")
_NAME = re.compile(rf"submarine-(?:{'|'.join(KINDS)})-[a-z0-9_]{{8}}")
_held: dict[Path, int] = {}


def directory(kind: str) -> Path:
    """A new directory of one of the KINDS, this process's as long as it lives; only its user may enter."""
    assert kind in KINDS  # noqa: S101 (or nobody would sweep it)
    path = Path(tempfile.mkdtemp(prefix=f"submarine-{kind}-"))
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    _held[path] = held
    return path


def remove(path: Path) -> None:
    """Remove a directory that this process has made, with all that is in it."""
    shutil.rmtree(path, ignore_errors=True)
    if (held := _held.pop(path, None)) is not None:
        os.close(held)


@contextlib.contextmanager
def passing(kind: str) -> Iterator[Path]:
    """A directory that goes with the context."""
    path = directory(kind)
    try:
        yield path
    finally:
        remove(path)


def sweep(place: Path | None = None, older_than: float = OLD_SECONDS) -> list[Path]:
    """Remove this user's directories that no process holds and that were not changed for so many seconds."""
    swept = []
    with os.scandir(place or tempfile.gettempdir()) as entries:
        found = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError):  # somebody else's, in use, or just gone
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                there = os.fstat(held)
                is_ours = there.st_uid == os.getuid() and stat.S_IMODE(there.st_mode) == 0o700
                if is_ours and time.time() - there.st_mtime > older_than:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
                    swept.append(path)
            finally:
                os.close(held)
    return swept
