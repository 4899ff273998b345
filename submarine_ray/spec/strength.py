"""Whether a token can keep anybody out: what is empty, short or known to everybody cannot."""

from __future__ import annotations

import re

MIN_CHARACTERS = 16
MIN_DISTINCT = 5
MADE_HERE = "sra_"
HOW_TO_MAKE_ONE = "make one with: openssl rand -hex 32"
# What examples, manuals and tired people write; a random token holds none of it.
_KNOWN = (
    "changeme", "changethis", "replaceme", "replacethis", "placeholder", "password", "passw0rd", "example", "default",
    "submarine", "secret", "token", "admin", "bearer", "letmein", "opensesame", "insert", "your", "here", "test",
)  # fmt: skip
_ROWS = (
    "0123456789", "0123456789abcdef", "1234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm",
    "abcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdefghijklmnopqrstuvwxyz", "deadbeef", "cafebabe",
)  # fmt: skip


def weakness(token: str) -> str | None:
    """Why this is no token for a service ("is empty", ...), or None."""
    if not token:
        return "is empty"
    if not re.fullmatch(r"[!-~]+", token):
        return "holds blanks or other characters that a header cannot carry"
    if len(token) < MIN_CHARACTERS:
        return f"has {len(token)} characters, fewer than {MIN_CHARACTERS}"
    if token.startswith(MADE_HERE):
        return f"begins with {MADE_HERE}, as the tokens do that the service makes itself"
    if _is_known(re.sub(r"[^a-z0-9]", "", token.lower())):
        return "is one that others guess first"
    return None


def _is_known(text: str) -> bool:
    """Whether little is left of it without well-known words, rows of the keyboard and repetitions."""
    for word in _KNOWN:
        text = text.replace(word, "")
    period = (text + text).find(text, 1)  # of "abcabc": 3
    if 0 < period < len(text):
        text = text[:period]
    rows = [row * 4 for row in _ROWS]
    in_a_row = any(text in row or text in row[::-1] for row in rows)
    return in_a_row or len(set(text)) < MIN_DISTINCT or len(text) < MIN_CHARACTERS // 2
