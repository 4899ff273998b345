"""What a process writes, cut into lines while it writes them.

A line that is not finished, such as a progress bar that is drawn again and again, is shown as it is now: with a
carriage return at its end, which says that the next line of the same replica takes its place. Only what it was at last
is kept (experiments/logs.py).
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

from submarine_ray.runner.rows import MOST, UP, Rows
from submarine_ray.spec import stamps
from submarine_ray.spec.launch import UNFINISHED

SHOW_SECONDS = 0.6  # together with the way of a line to who follows the log: below a second
LONGEST_LINE = 1024**2
LONGEST_SHOWN = 4096  # of a line that is not finished: a row of dots that grows would be written again and again
_CHUNK = 65_536


class Lines:
    """Bytes in, lines out."""

    def __init__(self) -> None:
        self._rest = b""
        self._shown = b""
        self._rows: Rows | None = None

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` finishes."""
        if self._rows is not None:
            return self._draw(self._rows, chunk)
        data = self._rest + chunk
        if b"\x1b" in data and (up := UP.search(data)):
            return self._begin_rows(data, up)
        return self._cut(chunk)

    def _begin_rows(self, data: bytes, up: re.Match[bytes]) -> list[str]:
        """The program goes back to a line that it has finished: to draw on it from now on."""
        self._rest = b""
        found = self._cut(data[: up.start()])
        row, self._rest = self._rest, b""
        self._rows = Rows(row, min(MOST, int(up[1] or 1)))
        return found + self._draw(self._rows, data[up.end() :])

    def _draw(self, rows: Rows, chunk: bytes) -> list[str]:
        ended = rows.feed(chunk)
        if ended is None:
            return []
        self._rows = None
        drawn, rest = ended
        return [*map(_text, drawn), *self.feed(rest)]

    def _cut(self, chunk: bytes) -> list[str]:
        *whole, rest = (self._rest + chunk).split(b"\n")
        if len(rest) > _CHUNK:  # the states before the present one would only take up memory
            rest = _present(rest)
        if len(rest) > LONGEST_LINE:
            whole.append(rest)
            rest = b""
        self._rest = rest
        if whole:
            self._shown = b""
        return [_text(_present(line)) for line in whole]

    def unfinished(self) -> str | None:
        """The line that is being written, as it is now; None if it is as it was at the last call, or empty."""
        present = b" | ".join(self._rows.rows()) if self._rows else _present(self._rest)
        if not present or present == self._shown:
            return None
        self._shown = present
        shown = present if len(present) <= LONGEST_SHOWN else b"..." + present[-LONGEST_SHOWN:]
        return _text(shown) + UNFINISHED

    def end(self) -> list[str]:
        """What no newline finished."""
        rest, self._rest = self._rest, b""
        rows = self._rows.rows() if self._rows else []
        self._rows = None
        return [_text(row) for row in (*rows, *([_present(rest)] if rest else []))]


class Pump:
    """Gives `put` all lines that come from the file descriptor `source`."""

    def __init__(self, source: int, put: Callable[[list[str]], Any]) -> None:
        self._source = source
        self._put = put
        self._is_waiting = False

    def run(self) -> None:
        """Until the source ends."""
        lines = Lines()
        show_at: float | None = None
        ready = select.poll()
        ready.register(self._source, select.POLLIN)
        while True:
            patience = None if show_at is None else max(0.0, show_at - time.monotonic()) * 1000
            self._is_waiting = True
            can_be_read = ready.poll(patience)
            self._is_waiting = False
            if can_be_read:
                chunk = os.read(self._source, _CHUNK)
                if not chunk:
                    break
                if whole := lines.feed(chunk):
                    self._put(whole)
                if show_at is None:
                    show_at = time.monotonic() + SHOW_SECONDS
            if show_at is not None and time.monotonic() >= show_at:
                show_at = None
                if now := lines.unfinished():
                    self._put([now])
        if rest := lines.end():
            self._put(rest)

    def is_behind(self) -> bool:
        """Whether something has been written already that `put` has not been given yet."""
        ready = select.poll()
        ready.register(self._source, select.POLLIN)
        return bool(ready.poll(0)) or not self._is_waiting  # in this order: what was read is handed on before it waits


def prefixed(replica: str, lines: Sequence[str]) -> str:
    """Lines as they stand in the job's log: behind who wrote them, and that it was now (experiments/logs.py)."""
    prefix = f"[{replica} {stamps.now()}]"
    return "".join(f"{prefix} {line}\n" for line in lines)


def _present(line: bytes) -> bytes:
    """What a terminal would show of a line with carriage returns in it: the last state that is not empty."""
    if b"\r" not in line:
        return line
    return next((state for state in reversed(line.split(b"\r")) if state.strip()), b"")


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
