"""Tables of experiments as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.experiments.listing import ExperimentTable
from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.filters import TableQuery

MOST_ROWS, AT_ONCE = 100_000, 1_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ATTRIBUTES: Mapping[str, Callable[[ExperimentTableRow], object]] = {
    "id": lambda row: row.experiment_id,
    "name": lambda row: row.name,
    "status": lambda row: row.seen,
    "owner": lambda row: row.owner,
    "framework": lambda row: row.framework,
    "cluster": lambda row: row.cluster,
    "tags": lambda row: " ".join(row.tags),
    "created": lambda row: row.accepted_time,
    "started": lambda row: row.running_time,
    "finished": lambda row: row.finished_time,
    "duration": lambda row: _seconds(row),
}
_DEFAULT = tuple(name for name in _ATTRIBUTES if name != "duration")


def logged(shown: Sequence[str]) -> list[str]:
    """The parameters and metrics among the columns of a file."""
    return [name for name in shown if name not in _ATTRIBUTES]


def lines(table: ExperimentTable, query: TableQuery, shown: Sequence[str] = ()) -> Iterator[str]:
    """The whole table, the first MOST_ROWS of its rows, read AT_ONCE at a time. Which rows there are and their order is
    asked at once: no row is missing or there twice because experiments come and go meanwhile.

    `shown`: the columns in their order; without it all attributes, and then the query's columns. Raises InvalidSpec for
    a column that is there twice.
    """
    if len(set(shown)) < len(shown):
        raise InvalidSpec("names a column twice", "shown")
    names = [name.replace("`", "") for name in shown] or [*_DEFAULT, *map(str, query.columns)]
    return _lines(table, query, names, table.ids(query, MOST_ROWS))


def _lines(table: ExperimentTable, query: TableQuery, names: Sequence[str], ids: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    for first in range(0, len(ids), AT_ONCE):
        rows = table.rows(ids[first : first + AT_ONCE], query.columns)
        yield from (_line(_cell(row, name) for name in names) for row in rows)


def _cell(row: ExperimentTableRow, name: str) -> object:
    return _ATTRIBUTES[name](row) if name in _ATTRIBUTES else row.values.get(name)


def _seconds(row: ExperimentTableRow) -> float | None:
    """How long it ran, once it has ended."""
    if not (row.running_time and row.finished_time):
        return None
    return (datetime.fromisoformat(row.finished_time) - datetime.fromisoformat(row.running_time)).total_seconds()


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_safe(cell) for cell in cells])
    return text.getvalue()


def _safe(cell: object) -> object:
    """A spreadsheet takes a text that begins so for a formula, and runs it: OWASP, "CSV injection"."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
