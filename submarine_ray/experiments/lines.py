"""Reads lines of a large file through an index of their offsets, in constant memory."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from submarine_ray.experiments import logs

STEP = 8192  # lines from one entry of the index to the next
PIECE = 65_536
KEPT = 256  # indexes


class LineIndex:
    """Where every STEPth line of a file begins, as far as the file has been scanned."""

    def __init__(self) -> None:
        self._begins = array("Q", [0])
        self._lock = threading.Lock()
        self._is_open = False  # the last line has no newline
        self.size = 0
        self.lines = 0  # newlines

    def extend(self, file: BinaryIO, size: int) -> None:
        """Scan on, up to `size` bytes."""
        with self._lock:
            file.seek(self.size)
            while self.size < size and (piece := file.read(min(PIECE, size - self.size))):
                self._scan(piece)

    def _scan(self, piece: bytes) -> None:
        newlines, rest = piece.count(b"\n"), piece
        while newlines and len(self._begins) * STEP <= self.lines + newlines:
            before = len(self._begins) * STEP - self.lines
            rest = rest.split(b"\n", before)[-1]
            self._begins.append(self.size + len(piece) - len(rest))
            self.lines, newlines = self.lines + before, newlines - before
        self.lines += newlines
        self.size += len(piece)
        self._is_open = not piece.endswith(b"\n")

    @property
    def total(self) -> int:
        """How many lines there are."""
        return self.lines + self._is_open

    def near(self, line: int) -> tuple[int, int]:
        """The last entry before `line`, counted from 0: its line and where that begins."""
        entry = min(line // STEP, len(self._begins) - 1)
        return entry * STEP, self._begins[entry]


class Indexes:
    """The indexes of files that were read lately."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, int], LineIndex] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, file: Path, size: int) -> LineIndex:
        """The index of a file that only grows, up to `size`."""
        with file.open("rb") as opened:
            key = (str(file), file.stat().st_ino)
            with self._lock:
                index = self._found.setdefault(key, LineIndex())
                self._found.move_to_end(key)
                if len(self._found) > KEPT:
                    self._found.popitem(last=False)
            if index.size < size:
                index.extend(opened, size)
        return index


def read(
    file: Path, size: int, index: LineIndex | None, first: int = 0, count: int | None = None
) -> Iterator[list[bytes]]:
    """Lines from the `first` on, counted from 0, `count` of them or all, from the first `size` bytes; in batches.

    A line longer than the runner's longest comes as several.
    """
    at, begin = index.near(first) if index and first else (0, 0)
    skip, left = first - at, count
    with file.open("rb") as opened:
        opened.seek(begin)
        rest, unread = b"", size - begin
        while unread > 0 and left != 0 and (piece := opened.read(min(PIECE, unread))):
            unread -= len(piece)
            lines, rest = logs.cut(rest, piece)
            lines, skip = lines[skip:], max(0, skip - len(lines))
            if left is not None:
                lines = lines[:left]
                left -= len(lines)
            if lines:
                yield lines
        if rest and not skip and left != 0:
            yield [rest]
