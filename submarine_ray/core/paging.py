"""Pages of long lists: `?limit=&cursor=`, by key and not by offset, so that the last page costs what the first does."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec import bounds
from submarine_ray.spec.answers.base import Attributes, CursorPage

MAX_LIMIT = 1000
MAX_PAGE = 10**9  # its offset fits every database's integers
Row = TypeVar("Row")


@dataclass(frozen=True)
class Cursor:
    """The key of the last row of a page."""

    ms: int
    id: str

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.ms, self.id]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str | None) -> Cursor | None:
        """Raises InvalidSpec for what no answer gave."""
        if not text:
            return None
        try:
            found = bounds.read_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            bounds.check(found)
            match found:
                case [int(ms), str(id)]:
                    return cls(ms, id)
            raise TypeError
        except (binascii.Error, ValueError, TypeError) as failure:  # OutOfBounds is a ValueError
            raise InvalidSpec(
                "not a cursor; take it from the previous page's attributes.nextCursor", "cursor"
            ) from failure


def after(
    query: Select[Row],
    time: InstrumentedAttribute[int],
    id: InstrumentedAttribute[str],
    limit: int | None,
    cursor: Cursor | None,
    descending: bool = False,
) -> Select[Row]:
    """The query's rows behind the cursor, one more than `limit`, which tells whether there is a next page."""
    if cursor is not None:
        key, last = tuple_(time, id), (cursor.ms, cursor.id)
        query = query.where(key < last if descending else key > last)
    return query.limit(limit + 1) if limit is not None else query


def split(rows: Sequence[Row], limit: int | None, key: Callable[[Row], Cursor]) -> tuple[list[Row], Attributes]:
    """The page's own rows, and the answer's attributes; `key` makes a row's Cursor."""
    if limit is None:
        return list(rows), Attributes()
    page = list(rows[:limit])
    return page, CursorPage(limit=limit, next_cursor=str(key(page[-1])) if len(rows) > limit else None)
