"""What a process writes, cut into lines while it writes them.

A line that is not finished, such as a progress bar that is drawn again and again, is shown as it is now: with a
carriage return at its end, which says that the next line of the same replica takes its place. Only what it was at last
is kept (experiments/logs.py).
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

from submarine_ray.spec.launch import UNFINISHED

SHOW_SECONDS = 0.6  # together with the way of a line to who follows the log: below a second
LONGEST_LINE = 1024**2
_CHUNK = 65_536


class Lines:
    """Bytes in, lines out."""

    def __init__(self) -> None:
        self._rest = b""
        self._shown = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that `chunk` finishes."""
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
        present = _present(self._rest)
        if not present or present == self._shown:
            return None
        self._shown = present
        return _text(present) + UNFINISHED

    def end(self) -> list[str]:
        """What no newline finished."""
        rest, self._rest = self._rest, b""
        return [_text(_present(rest))] if rest else []


def pump(source: int, put: Callable[[list[str]], Any]) -> None:
    """Give `put` all lines that come from the file descriptor `source`, until it ends."""
    lines = Lines()
    show_at: float | None = None
    ready = select.poll()
    ready.register(source, select.POLLIN)
    while True:
        patience = None if show_at is None else max(0.0, show_at - time.monotonic()) * 1000
        if ready.poll(patience):
            chunk = os.read(source, _CHUNK)
            if not chunk:
                break
            if whole := lines.feed(chunk):
                put(whole)
            if show_at is None:
                show_at = time.monotonic() + SHOW_SECONDS
        if show_at is not None and time.monotonic() >= show_at:
            show_at = None
            if now := lines.unfinished():
                put([now])
    if rest := lines.end():
        put(rest)


def _present(line: bytes) -> bytes:
    """What a terminal would show of a line with carriage returns in it: the last state that is not empty."""
    if b"\r" not in line:
        return line
    return next((state for state in reversed(line.split(b"\r")) if state.strip()), b"")


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
