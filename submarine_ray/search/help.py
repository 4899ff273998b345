"""The pages of the built documentation and their headings, as `make docs` has indexed them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection
from html import unescape
from pathlib import Path

import structlog

from submarine_ray.search.sources import Item, best, matches
from submarine_ray.spec.places import ObjectKind

log = structlog.get_logger(__name__)

INDEX = Path(__file__).parents[1] / "help" / "search" / "search_index.json"
_MARKUP = re.compile(r"<[^<>]+>")


class Help:
    """Read once, and again after each build; empty where nobody has built it."""

    def __init__(self, index: Path = INDEX) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._read_ns = 0
        self._items: list[Item] = []

    def search(self, text: str, limit: int) -> list[Item]:
        return best(text, [item for item in self._all() if matches(item.name, text)], limit)

    def of(self, keys: Collection[str]) -> list[Item]:
        return [item for item in self._all() if item.key in keys]

    def _all(self) -> list[Item]:
        try:
            changed_ns = self._index.stat().st_mtime_ns
        except OSError:
            return []
        with self._lock:
            if changed_ns != self._read_ns:
                self._read_ns = changed_ns
                try:
                    self._items = _items(self._index.read_text(encoding="utf-8"))
                except (OSError, ValueError, KeyError, TypeError) as failure:  # it may be half written
                    log.warning("search.help_not_read", why=str(failure))
            return self._items


def _items(text: str) -> list[Item]:
    found = []
    page = ""
    for entry in json.loads(text)["docs"]:
        title = " ".join(unescape(_MARKUP.sub("", entry["title"])).split())
        is_page = "#" not in entry["location"]
        if is_page:
            page = title
        if title:
            found.append(Item(ObjectKind.HELP, entry["location"], title, None if is_page else page))
    return found
