"""What differs between two packages of code, file by file."""

from __future__ import annotations

import difflib
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.spec import zips

MAX_BYTES = 200_000  # of a file whose lines are compared
MAX_LINES = 400  # that are shown of a file
MAX_ALL_LINES = 5_000  # that are shown of all files
MAX_WIDTH = 1_000  # characters that are shown of a line
MAX_FILES = 50
# difflib's time grows with the cube of the lines where many are equal: seconds for so many.
MAX_COMPARED = 4_000
MAX_SECONDS = 3.0  # after which no other file is compared


@dataclass(frozen=True)
class Change:
    """A file that only one of two packages has, or that differs; `lines` are a unified diff's, without its head.
    `files`: how many it stands for.
    """

    name: str
    kind: str
    lines: Sequence[str] = ()
    note: str = ""
    files: int = 1


def changes(before: Path, after: Path) -> list[Change]:
    """The changes that make one package's files the other's, by name. Raises zips.Refused, OSError."""
    with (
        before.open("rb") as old_file, after.open("rb") as new_file,
        zips.opened(old_file) as old, zips.opened(new_file) as new,
    ):  # fmt: skip
        return list(_changes(old, new))


def _changes(old: zipfile.ZipFile, new: zipfile.ZipFile) -> Iterator[Change]:
    had, has = _files(old), _files(new)
    differing = [
        name
        for name in sorted({*had, *has})
        if name not in had or name not in has or _mark(had[name]) != _mark(has[name])
    ]
    shown, end = 0, time.monotonic() + MAX_SECONDS
    for name in differing[:MAX_FILES]:
        kind = "added" if name not in had else "removed" if name not in has else "changed"
        if shown >= MAX_ALL_LINES:
            yield Change(name, kind, note=f"Not shown: the files before it have {shown:,} lines.")
        elif time.monotonic() > end:
            yield Change(name, kind, note="Not compared: the files before it took long.")
        else:
            found = _change(name, kind, _lines(old, had.get(name)), _lines(new, has.get(name)))
            shown += len(found.lines)
            yield found
    if (more := len(differing) - MAX_FILES) > 0:
        yield Change(f"{more} more {'file' if more == 1 else 'files'}", "not shown", files=more)


def _files(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {member.filename: member for member in archive.infolist() if not member.is_dir()}


def _mark(member: zipfile.ZipInfo) -> tuple[int, int]:
    """What is the same if the content is."""
    return member.CRC, member.file_size


def _lines(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> list[str] | None:
    """The lines of a text; None of what is none, or is too large. A file that is not there has no lines."""
    if member is None:
        return []
    if member.file_size > MAX_BYTES:
        return None
    content = archive.read(member)
    if b"\0" in content:  # UTF-8 by chance
        return None
    try:
        return content.decode().splitlines()
    except UnicodeDecodeError:
        return None


def _change(name: str, kind: str, old: list[str] | None, new: list[str] | None) -> Change:
    if old is None or new is None:
        return Change(name, kind, note="Not text, or larger than 200 kB.")
    if old and new and max(len(old), len(new)) > MAX_COMPARED:
        return Change(name, kind, note=f"More than {MAX_COMPARED:,} lines: they are not compared.")
    lines = list(difflib.unified_diff(old, new, lineterm=""))[2:]
    if not lines:
        return Change(name, kind, note="Only line endings differ." if kind == "changed" else "The file is empty.")
    note = f"{len(lines) - MAX_LINES} more lines are not shown." if len(lines) > MAX_LINES else ""
    return Change(name, kind, [_cut(line) for line in lines[:MAX_LINES]], note)


def _cut(line: str) -> str:
    return line if len(line) <= MAX_WIDTH else f"{line[:MAX_WIDTH]}…"
