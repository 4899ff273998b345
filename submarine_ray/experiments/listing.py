"""Tables of experiments: filtered, sorted and paged by the database, with the values of chosen fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import ColumnElement, Select, asc, desc, func, select
from sqlalchemy.orm import Session

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.experiments import answers
from submarine_ray.experiments import repository as experiments
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values.conditions import TEXTS, Conditions, state_order
from submarine_ray.experiments.values.repository import possible
from submarine_ray.experiments.values.tables import ValueRow
from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.expressions import Field, FieldKind, Sort, WrongExpression
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.groups import read_group

MOST_FIELDS = 1_000
Rows = Select[ExperimentRow]


class ExperimentTable:
    """Pages of experiments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, query: TableQuery, number: int, size: int) -> tuple[list[ExperimentTableRow], int]:
        """A page, newest first where no sort is given, and how many experiments there are in all. Those that have no
        value of the field that sorts come last.
        """
        with self._database.session() as session:
            rows = _page(session, query, (number - 1) * size, size)
            return self._rows(session, rows, query.columns), experiments.count(session, query.filter)

    def ids(self, query: TableQuery, most: int) -> list[str]:
        """The ids of all experiments of a table in their order, at most `most`."""
        found: list[str] = []
        with self._database.session() as session:
            for part in _parts(session, experiments.filtered(session, query.filter), query.sort):
                found += session.scalars(part.with_only_columns(ExperimentRow.id).limit(most - len(found)))
                if len(found) == most:
                    break
        return found

    def rows(self, ids: Sequence[str], columns: Collection[Field]) -> list[ExperimentTableRow]:
        """The rows of some experiments in this order, without those deleted since."""
        with self._database.session() as session:
            return self._rows(session, experiments.find_all(session, ids), columns)

    def run_ids(self, ids: Sequence[str]) -> dict[str, str]:
        """The MLflow run of each of some experiments that has one."""
        with self._database.session() as session:
            return {row.id: row.run_id for row in experiments.find_all(session, ids) if row.run_id}

    def fields(self, part: str = "") -> list[Field]:
        """The parameters and metrics there are whose names have a part, the first thousand by the alphabet."""
        with self._database.session() as session:
            return repository.fields(session, part, MOST_FIELDS)

    def _rows(
        self, session: Session, rows: Sequence[ExperimentRow], columns: Collection[Field]
    ) -> list[ExperimentTableRow]:
        ids = [row.id for row in rows]
        tags = experiments.tags(session, ids)
        values = repository.of_fields(session, ids, columns)
        return [
            ExperimentTableRow(
                **answers.summary(row, tags.get(row.id, [])).model_dump(),
                values={str(column): value.shown for column, value in values.get(row.id, {}).items()},
            )
            for row in rows
        ]


def read_query(filter: str, sort: str, columns: Sequence[str]) -> TableQuery:
    """A query as users write it. Raises InvalidSpec."""
    try:
        return TableQuery.read(filter, sort, columns)
    except WrongExpression as failure:
        raise InvalidSpec(str(failure), failure.parameter) from failure


def read_grouping(text: str) -> Field:
    """The field by which a table is grouped, as users write it. Raises InvalidSpec."""
    try:
        return read_group(text)
    except WrongExpression as failure:
        raise InvalidSpec(str(failure), "by") from failure


def _page(session: Session, query: TableQuery, offset: int, limit: int) -> list[ExperimentRow]:
    """The rows from the `offset`th on. Each part of the order is a query of its own, which an index can answer: what
    has a number, what has a text, what has neither.
    """
    rows: list[ExperimentRow] = []
    for part in _parts(session, experiments.filtered(session, query.filter, is_page=True), query.sort):
        found = list(session.scalars(part.offset(offset).limit(limit - len(rows))))
        rows += found
        if len(rows) == limit:
            break
        if found:
            offset = 0
        elif offset:
            offset -= session.scalar(select(func.count()).select_from(part.order_by(None).subquery())) or 0
    return rows


def _parts(session: Session, query: Rows, sort: Sort | None) -> Iterator[Rows]:
    newest = ExperimentRow.accepted_ms.desc(), ExperimentRow.id.desc()
    if sort is None:
        yield query.order_by(*newest)
        return
    if sort.field.kind is FieldKind.ATTRIBUTE:
        by = _attribute(sort.field.name)
        yield query.where(by.is_not(None)).order_by(by.desc() if sort.descending else by.asc(), *newest)
        yield query.where(by.is_(None)).order_by(*newest)
        return
    names = repository.find_names(session, possible(sort.field))
    ordered = desc if sort.descending else asc
    last = ordered(ValueRow.experiment_id)
    for name_id in (names[name] for name in possible(sort.field) if name in names):
        having = query.join(ValueRow, ValueRow.experiment_id == ExperimentRow.id).where(ValueRow.name_id == name_id)
        yield having.where(ValueRow.number.is_not(None)).order_by(ordered(ValueRow.number), last)
        yield having.where(ValueRow.number.is_(None)).order_by(ordered(ValueRow.text), last)
        query = query.where(ExperimentRow.id.not_in(select(ValueRow.experiment_id).where(ValueRow.name_id == name_id)))
    yield query.order_by(*newest)


def _attribute(name: str) -> ColumnElement[str] | ColumnElement[int]:
    if name == "status":
        return state_order()
    if name in TEXTS:
        return TEXTS[name].expression  # type: ignore[return-value]
    return Conditions({}, now_ms()).measure(name)
