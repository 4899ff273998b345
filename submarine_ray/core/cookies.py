"""The cookies of a request, as far as this service reads them."""

from __future__ import annotations

from collections.abc import Iterable

SESSION_COOKIES = ("submarine_session", "__Host-submarine_session")
"""What opens this service in a browser: over http and over https."""


def values(headers: Iterable[tuple[bytes, bytes]], names: Iterable[str] = SESSION_COOKIES) -> list[str]:
    """The values of the cookies of these names. A cookie of another program cannot hide them, whatever it holds."""
    wanted = frozenset(names)
    found = []
    for key, value in headers:
        if key.lower() == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                name, _, content = pair.strip().partition("=")
                if name in wanted:
                    found.append(content.strip().strip('"'))
    return found
