"""Finds text and errors in large files of lines, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

PIECE = 2**20
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
# As in static/log-lines.js. The words are looked for first: most pieces have none, and that is ten times as fast.
# No \s at a line's begin: from each of many empty lines it would run over all that follow.
_ERROR = re.compile(
    rb"\b(?:ERROR|CRITICAL|FATAL)\b|Traceback \(most recent call last\)|"
    rb"^(?:\[rank\d+\]: )?[\w.]*(?:Error|Exception|Interrupt)(?::|$)|^[ \t]*[Ee]rror:",
    re.MULTILINE,
)
_WORDS = (b"ERROR", b"CRITICAL", b"FATAL", b"Traceback", b"Error", b"Exception", b"Interrupt", b"error:")


@dataclass(frozen=True)
class Search:
    """`prepare` makes of some lines, without their colours, what `find` looks into: it answers where the next match
    begins, from a byte on, or -1.
    """

    prepare: Callable[[bytes], bytes]
    find: Callable[[bytes, int], int]


def text(wanted: str) -> Search:
    """A search for a text, in lower or upper case."""
    needle = wanted.lower().encode()
    return Search(bytes.lower if needle.isascii() else _lowered, lambda lines, begin: lines.find(needle, begin))


def _lowered(lines: bytes) -> bytes:
    return lines.decode(errors="replace").lower().encode()


def _error(lines: bytes, begin: int) -> int:
    if begin == 0 and not any(word in lines for word in _WORDS):
        return -1
    found = _ERROR.search(lines, begin)
    return found.start() if found else -1


ERRORS = Search(lambda lines: lines, _error)
"""A search for what reports an error: a level, a traceback, or an exception."""


def matches(file: Path, size: int, search: Search) -> Iterator[int]:
    """The numbers, from 0, of the lines in the first `size` bytes of a file that have a match."""
    line, unread, rest = 0, size, b""
    with file.open("rb") as opened:
        while unread > 0 and (piece := opened.read(min(PIECE, unread))):
            unread -= len(piece)
            end = piece.rfind(b"\n") + 1
            if not end:
                rest += piece
                continue
            whole, rest = rest + piece[:end], piece[end:]
            yield from _numbers(whole, line, search)
            line += whole.count(b"\n")
        if rest:
            yield from _numbers(rest, line, search)


def first(count: int, found: Iterator[int]) -> list[int]:
    """The first `count` matches, and one more if there are more."""
    return list(islice(found, count + 1))


def _numbers(lines: bytes, number: int, search: Search) -> Iterator[int]:
    if b"\x1b" in lines:
        lines = _ESCAPES.sub(b"", lines)
    lines = search.prepare(lines)
    counted = at = 0
    while (found := search.find(lines, at)) >= 0:
        number += lines.count(b"\n", counted, found)
        counted = found
        yield number
        if (end := lines.find(b"\n", found)) < 0:
            return
        at = end + 1
