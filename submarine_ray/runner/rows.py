"""Progress bars below each other, as tqdm's of nested loops: it draws the lower one and moves the cursor up again.

Each drawing of a lower bar would be a line of the log. Here they are rows that change, until a new row begins below
them; then what they were at last is kept.
"""

from __future__ import annotations

import re

UP = re.compile(rb"\x1b\[(\d*)A")
MOST = 50  # rows; who draws more draws a screen, of which a log has no use
LONGEST = 65_536
_CUT = re.compile(rb"\x1b(?:\[\d*)?$")


class Rows:
    """Rows on which a program draws, once it has moved the cursor up `by` rows from `row`."""

    def __init__(self, row: bytes, by: int) -> None:
        self._rows = [*([b""] * by), row]
        self._at = 0
        self._rest = b""  # the begin of an escape sequence

    def feed(self, chunk: bytes) -> tuple[list[bytes], bytes] | None:
        """None while the program draws on these rows; then what they were, and what the program has written since."""
        data = self._rest + chunk
        cut = _CUT.search(data)
        self._rest = cut[0] if cut else b""
        data = data[: cut.start()] if cut else data
        begin = 0
        for found in re.finditer(rb"\n|\x1b\[(\d*)A", data):
            self._draw(data[begin : found.start()])
            begin = found.end()
            if found[0] != b"\n":
                self._at = max(0, self._at - int(found[1] or 1))
                continue
            self._at += 1
            if self._at == len(self._rows):
                return self.rows(), data[begin:] + self._rest
        self._draw(data[begin:])
        return None

    def _draw(self, text: bytes) -> None:
        row = self._rows[self._at] + text
        self._rows[self._at] = row if len(row) <= LONGEST else row[row.rfind(b"\r") + 1 :][-LONGEST:]

    def rows(self) -> list[bytes]:
        """The rows that have something on them, as they are now."""
        return [shown for row in self._rows if (shown := _shown(row)).strip()]


def _shown(row: bytes) -> bytes:
    """What was drawn last; blanks where the row was cleared."""
    return next((drawn for drawn in reversed(row.split(b"\r")) if drawn), b"")
