"""How a command is split into words: as `shlex.split` does, in time that grows with its length and not with its square.

`shlex` puts each word together character by character, in a string that it copies each time: one word of a megabyte
takes it minutes.
"""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"(?P<blank>[ \t\r\n]+)|(?P<plain>[^ \t\r\n'\"\\]+)|'(?P<single>[^']*)'|"
    r'"(?P<double>(?:[^"\\]|\\.)*+)"|\\(?P<escaped>.)',
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])')  # in double quotes a backslash stands for itself before anything else


def split(command: str) -> list[str]:
    """The command's words. Raises ValueError if a quotation, or a backslash at the end, has nothing that closes it."""
    words: list[str] = []
    parts: list[str] = []
    inside, at = False, 0
    while at < len(command):
        piece = _PIECE.match(command, at)
        if piece is None:
            raise ValueError("No escaped character" if _ends_in_backslash(command, at) else "No closing quotation")
        at = piece.end()
        kind, text = piece.lastgroup, piece[piece.lastgroup or 0]
        if kind != "blank":
            inside = True
            parts.append(_ESCAPED.sub(r"\1", text) if kind == "double" else text)
        elif inside:
            words.append("".join(parts))
            parts, inside = [], False
    return [*words, "".join(parts)] if inside else words


def _ends_in_backslash(command: str, at: int) -> bool:
    """Whether what cannot be read from here on is a backslash with nothing after it, rather than an open quotation."""
    if command[at] != '"':
        return command[at] == "\\"
    return bool(re.fullmatch(r'"(?:[^"\\]|\\.)*+\\', command[at:], re.DOTALL))
