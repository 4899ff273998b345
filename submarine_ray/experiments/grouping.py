"""Tables of experiments in groups: how many have each value of a field, and what they logged, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    asc,
    case,
    desc,
    func,
    literal,
    not_,
    null,
    or_,
    select,
)
from sqlalchemy.orm import Session

from submarine_ray.core.database import Database, exact_text
from submarine_ray.experiments import repository as experiments
from submarine_ray.experiments.tables import ExperimentRow, ExperimentTagRow
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values.conditions import TEXTS, state_order
from submarine_ray.experiments.values.repository import possible
from submarine_ray.experiments.values.tables import TEXT_LENGTH, ValueRow
from submarine_ray.spec.answers.groups import ExperimentGroup, ValueSummary
from submarine_ray.spec.expressions import Field, FieldKind, Sort
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.groups import GroupKey, condition, key_field
from submarine_ray.spec.numbers import is_finite

Key = tuple[str | None, float | None]  # a text, or a number; neither of those without a value
Groups = Select[str | None, float | None, int, int]
_DIGITS = 16  # of more, a float does not hold all


class ExperimentGroups:
    """Pages of groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, query: TableQuery, by: Field, number: int, size: int) -> tuple[list[ExperimentGroup], int]:
        """A page of the groups of a table, and how many groups there are. The largest group comes first, unless the
        query's order is by the field that groups, by the time of creation, or by a parameter or metric: then by the
        mean of that. Experiments without a value of the field are a group of their own. An experiment is in the group
        of each of its tags.
        """
        by = key_field(by)
        with self._database.session() as session:
            keyed = _keyed(session, query, by)
            groups = select(
                keyed.c.text, keyed.c.number, func.count().label("count"), func.count().over().label("total")
            ).group_by(keyed.c.text, keyed.c.number)
            ordered = _ordered(session, groups, keyed, query.sort, by)
            rows = session.execute(ordered.offset((number - 1) * size).limit(size)).all()
            if rows or number == 1:
                total = rows[0].total if rows else 0
            else:
                total = session.scalar(select(func.count()).select_from(groups.subquery())) or 0
            values = _values(session, keyed, [(row.text, row.number) for row in rows], query.columns)
        return [_answer(by, row, values) for row in rows], total


def _keyed(session: Session, query: TableQuery, by: Field) -> Subquery:
    """(id, accepted_ms, text, number) of each experiment: of each tag of it, where tags group."""
    found = experiments.filtered(session, query.filter)
    own = ExperimentRow.id, ExperimentRow.accepted_ms
    no_number = literal(None, ValueRow.number.type).label("number")
    if by.kind is FieldKind.ATTRIBUTE:
        if by.name == "tag":
            tagged = found.outerjoin(ExperimentTagRow, ExperimentTagRow.experiment_id == ExperimentRow.id)
            return tagged.with_only_columns(*own, ExperimentTagRow.tag.label("text"), no_number).subquery()
        text = state_order() if by.name == "status" else TEXTS[by.name].expression
        return found.with_only_columns(*own, text.label("text"), no_number).subquery()
    names = repository.find_names(session, possible(by))
    name_id = next((names[name] for name in possible(by) if name in names), -1)
    valued = found.outerjoin(ValueRow, and_(ValueRow.experiment_id == ExperimentRow.id, ValueRow.name_id == name_id))
    is_text = or_(ValueRow.number.is_(None), _is_label())
    text_ = case((is_text, ValueRow.text), else_=literal(None, exact_text(TEXT_LENGTH))).label("text")
    number = case((is_text, null()), else_=ValueRow.number).label("number")
    return valued.with_only_columns(*own, text_, number).subquery()


def _is_label() -> ColumnElement[bool]:
    """Of digits that a number does not give back, all count (spec/expressions.py `is_label`)."""
    text = ValueRow.text
    is_float = or_(text.contains("."), text.contains("e"))
    return and_(not_(is_float), or_(func.length(text) >= _DIGITS, and_(text.startswith("0"), text != "0")))


def _ordered(session: Session, groups: Groups, keyed: Subquery, sort: Sort | None, by: Field) -> Groups:
    key = keyed.c.text.is_(None), keyed.c.text, keyed.c.number
    largest = func.count().desc(), *key
    if sort is None:
        return groups.order_by(*largest)
    ordered = desc if sort.descending else asc
    if key_field(sort.field) == by:
        is_nothing = and_(keyed.c.text.is_(None), keyed.c.number.is_(None))
        return groups.order_by(is_nothing, keyed.c.number.is_(None), ordered(keyed.c.number), ordered(keyed.c.text))
    if sort.field.kind is FieldKind.ATTRIBUTE:
        if sort.field.name != "created":
            return groups.order_by(*largest)
        return groups.order_by(ordered(func.max(keyed.c.accepted_ms)), *key)
    names = repository.find_names(session, possible(sort.field))
    name_id = next((names[name] for name in possible(sort.field) if name in names), -1)
    joined = groups.outerjoin(ValueRow, and_(ValueRow.experiment_id == keyed.c.id, ValueRow.name_id == name_id))
    mean = func.avg(ValueRow.number)
    return joined.order_by(mean.is_(None), ordered(mean), *largest)


def _values(
    session: Session, keyed: Subquery, keys: Sequence[Key], columns: Collection[Field]
) -> Mapping[Key, Mapping[Field, ValueSummary]]:
    """What the experiments of some groups logged of some fields, in numbers."""
    names = repository.find_names(session, [name for field in columns for name in possible(field)])
    if not names or not keys:
        return {}
    by_id = {id: name for name, id in names.items()}
    number = ValueRow.number
    query = (
        select(
            keyed.c.text, keyed.c.number, ValueRow.name_id,
            func.count(number), func.avg(number), func.min(number), func.max(number),
        )
        .join(ValueRow, ValueRow.experiment_id == keyed.c.id)
        .where(ValueRow.name_id.in_(by_id), number.is_not(None), _in(keyed, keys))
        .group_by(keyed.c.text, keyed.c.number, ValueRow.name_id)
    )  # fmt: skip
    found: dict[Key, dict[object, ValueSummary]] = {}
    for text, key, name_id, count, mean, low, high in session.execute(query):
        if is_finite(mean):
            found.setdefault((text, key), {})[by_id[name_id]] = ValueSummary(
                count=count, mean=mean, minimum=low, maximum=high
            )
    return {
        key: {field: values[name] for field in columns for name in reversed(possible(field)) if name in values}
        for key, values in found.items()
    }


def _in(keyed: Subquery, keys: Sequence[Key]) -> ColumnElement[bool]:
    texts = [text for text, _ in keys if text is not None]
    numbers = [number for _, number in keys if number is not None]
    found: list[ColumnElement[bool]] = [keyed.c.text.in_(texts), keyed.c.number.in_(numbers)]
    if (None, None) in keys:
        found.append(and_(keyed.c.text.is_(None), keyed.c.number.is_(None)))
    return or_(*found)


def _answer(
    by: Field, row: Row[str | None, float | None, int, int], values: Mapping[Key, Mapping[Field, ValueSummary]]
) -> ExperimentGroup:
    key = GroupKey(by, row.text, row.number)
    return ExperimentGroup(
        value=key.value,
        count=row.count,
        filter=condition(key),
        values={str(field): value for field, value in values.get((row.text, row.number), {}).items()},
    )
