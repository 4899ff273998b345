"""Filters of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from submarine_ray.spec import expressions
from submarine_ray.spec.expressions import Expression, Field, FieldKind, Sort, WrongExpression

MOST_COLUMNS = 50
Read = TypeVar("Read")


@dataclass(frozen=True)
class Filter:
    """Which experiments; deleted ones are shown only when asked for.

    `state` is the status as people see it, where what was stopped has not failed. `search` is a part of the name or
    the id, `since_ms` the earliest time of acceptance (milliseconds since 1970), `expression` a filter as text, read.
    """

    status: str | None = None
    tag: str | None = None
    owner: str | None = None
    framework: str | None = None
    search: str | None = None
    since_ms: int | None = None
    cluster: str | None = None
    state: str | None = None
    expression: Expression | None = None


@dataclass(frozen=True)
class Choices:
    """The values that experiments can be filtered by, each list in the order of the alphabet."""

    owners: list[str]
    frameworks: list[str]
    tags: list[str]


@dataclass(frozen=True)
class TableQuery:
    """Which experiments a table shows, in which order, and what of what they logged."""

    filter: Filter = field(default_factory=Filter)
    sort: Sort | None = None
    columns: tuple[Field, ...] = ()

    @classmethod
    def read(
        cls, filter: str = "", sort: str = "", columns: Sequence[str] = (), known: Filter | None = None
    ) -> TableQuery:
        """A query as users write it, besides what a `known` filter asks. Raises WrongExpression."""
        wanted = known or Filter()
        if filter.strip():
            wanted = replace(wanted, expression=_read("filter", expressions.read, filter))
        order = _read("sort", Sort.read, sort) if sort else None
        shown = dict.fromkeys(_read("columns", _logged, text) for text in columns)
        if len(shown) > MOST_COLUMNS:
            raise WrongExpression(f"at most {MOST_COLUMNS} columns are shown at once", "columns")
        return cls(wanted, order, tuple(shown))


def _read(name: str, read: Callable[[str], Read], text: str) -> Read:
    try:
        return read(text)
    except WrongExpression as failure:
        raise WrongExpression(str(failure), name) from failure


def _logged(text: str) -> Field:
    found = Field.read(text.replace("`", ""))
    if found.kind is FieldKind.ATTRIBUTE:
        raise WrongExpression(f"{found} is in each row already: choose metrics.NAME or params.NAME")
    return found
