"""Tables of experiments as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from submarine_ray.experiments.listing import ExperimentTable
from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.filters import TableQuery

MOST_ROWS, AT_ONCE = 100_000, 1_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ATTRIBUTES = ("id", "name", "status", "owner", "framework", "cluster", "tags", "created", "started", "finished")


def lines(table: ExperimentTable, query: TableQuery) -> Iterator[str]:
    """The whole table, the first MOST_ROWS of its rows, read AT_ONCE at a time. Which rows there are and their order is
    asked at once: no row is missing or there twice because experiments come and go meanwhile.
    """
    return _lines(table, query, table.ids(query, MOST_ROWS))


def _lines(table: ExperimentTable, query: TableQuery, ids: Sequence[str]) -> Iterator[str]:
    yield _line([*_ATTRIBUTES, *map(str, query.columns)])
    for first in range(0, len(ids), AT_ONCE):
        rows = table.rows(ids[first : first + AT_ONCE], query.columns)
        yield from (_line(_cells(row, query)) for row in rows)


def _cells(row: ExperimentTableRow, query: TableQuery) -> Iterator[object]:
    yield from (row.experiment_id, row.name, row.seen, row.owner, row.framework, row.cluster, " ".join(row.tags))
    yield from (row.accepted_time, row.running_time, row.finished_time)
    yield from (row.values.get(str(column)) for column in query.columns)


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_safe(cell) for cell in cells])
    return text.getvalue()


def _safe(cell: object) -> object:
    """A spreadsheet takes a text that begins so for a formula, and runs it: OWASP, "CSV injection"."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
