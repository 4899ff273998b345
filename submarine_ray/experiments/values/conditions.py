"""Filters and sort orders (spec/expressions.py) as SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, case, false, func, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from submarine_ray.experiments.tables import ExperimentRow, ExperimentTagRow
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values.repository import Name, possible
from submarine_ray.experiments.values.tables import ValueRow
from submarine_ray.spec import expressions
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import (
    Comparison,
    Every,
    Expression,
    FieldKind,
    Not,
    Some,
    is_label,
)
from submarine_ray.spec.numbers import to_json

Condition = ColumnElement[bool]
_FEW = 2_000  # experiments: so many are found as a set in a few milliseconds

TEXTS: Mapping[str, InstrumentedAttribute[str] | InstrumentedAttribute[str | None]] = {
    "id": ExperimentRow.id,
    "name": ExperimentRow.name,
    "owner": ExperimentRow.owner,
    "framework": ExperimentRow.framework,
    "cluster": ExperimentRow.cluster,
}


def in_state(state: str) -> Condition:
    """The state as people see it: what a user stopped has not failed."""
    stopped = ExperimentRow.reason == ExperimentStatus.STOPPED
    if state == ExperimentStatus.STOPPED:
        return and_(ExperimentRow.status == ExperimentStatus.FAILED, stopped)
    if state == ExperimentStatus.FAILED:
        return and_(ExperimentRow.status == state, or_(ExperimentRow.reason.is_(None), ~stopped))
    return ExperimentRow.status == state


@dataclass(frozen=True)
class Conditions:
    """Makes conditions; `names` has the ids of the parameters and metrics that they speak of. Comparisons in `wide` are
    looked at for one experiment after the other, others as the set of all that they find.
    """

    names: Mapping[Name, int]
    now_ms: int
    wide: frozenset[Comparison] = frozenset()

    @classmethod
    def of(cls, session: Session, expression: Expression, now_ms: int, is_page: bool = False) -> Conditions:
        """With the names that an expression needs. `is_page`: only the first of what is found is read, so that a
        comparison that finds very many is better not asked for all of them.
        """
        names = [name for field in expressions.fields(expression) for name in possible(field)]
        made = cls(repository.find_names(session, names), now_ms)
        if not is_page:
            return made
        logged = {one for one in expressions.comparisons(expression) if one.field.kind is not FieldKind.ATTRIBUTE}
        return replace(made, wide=frozenset(one for one in logged if made._is_wide(session, one)))

    def _is_wide(self, session: Session, asked: Comparison) -> bool:
        some = select(ValueRow.experiment_id).where(*self._found(asked)).offset(_FEW).limit(1)
        return session.scalar(some) is not None

    def where(self, expression: Expression) -> Condition:
        """The expression as a condition of a query of experiments."""
        match expression:
            case Every(parts=parts):
                return and_(*map(self.where, parts))
            case Some(parts=parts):
                return or_(*map(self.where, parts))
            case Not(part=part):
                return _unless(self.where(part))
            case Comparison(field=field):
                return self._attribute(expression) if field.kind is FieldKind.ATTRIBUTE else self._logged(expression)

    def measure(self, name: str) -> ColumnElement[int]:
        """An attribute that is a time or a length of time, in milliseconds."""
        if name == "created":
            return ExperimentRow.accepted_ms.expression
        if name == "finished":
            return ExperimentRow.finished_ms.expression  # type: ignore[return-value]
        if name == "age":
            return self.now_ms - ExperimentRow.accepted_ms
        return func.coalesce(ExperimentRow.finished_ms, self.now_ms) - ExperimentRow.running_ms

    def _attribute(self, asked: Comparison) -> Condition:
        name = asked.field.name
        if name == "status":
            found = or_(*(in_state(str(value)) for value in asked.values))
        elif name == "tag":
            found = ExperimentRow.id.in_(
                select(ExperimentTagRow.experiment_id).where(_text(ExperimentTagRow.tag, asked))
            )
        elif name in TEXTS:
            found = _text(TEXTS[name], asked)
        else:
            factor = 1 if name in ("created", "finished") else 1000
            return _ordered(self.measure(name), asked.operator, float(asked.values[0]) * factor)
        return _unless(found) if _is_negative(asked) else found

    def _logged(self, asked: Comparison) -> Condition:
        if not any(name in self.names for name in possible(asked.field)):
            return false()
        found = select(ValueRow.experiment_id).where(*self._found(asked))
        if asked in self.wide:
            return found.where(ValueRow.experiment_id == ExperimentRow.id).correlate(ExperimentRow).exists()
        return ExperimentRow.id.in_(found)

    def _found(self, asked: Comparison) -> tuple[Condition, Condition]:
        """Which values a comparison of what was logged finds."""
        ids = [self.names[name] for name in possible(asked.field) if name in self.names]
        return ValueRow.name_id.in_(ids), _value(asked)


def _value(asked: Comparison) -> Condition:
    """Numbers are compared as numbers, whatever they are written like: 1e-3 is 0.001."""
    if asked.operator in ("<", "<=", ">", ">="):
        return _ordered(ValueRow.number, asked.operator, float(asked.values[0]))
    if asked.operator in ("~", "!~"):
        found = _text(ValueRow.text, asked)
    else:
        found = or_(*_equal([str(value) for value in asked.values]))
    return not_(found) if _is_negative(asked) else found


def _equal(values: Sequence[str]) -> Iterator[Condition]:
    yield ValueRow.text.in_({text for value in values for text in (value, _metric_text(value))})
    numbers = {value: number for value in values if (number := expressions.number(value)) is not None}
    is_number = ValueRow.number.is_not(None)
    yield and_(is_number, ValueRow.number.in_([numbers[value] for value in numbers if not is_label(value)]))
    if labels := [numbers[value] for value in numbers if is_label(value)]:
        # Of a parameter all digits count; metrics, which are floats, are kept with a dot or an exponent.
        is_float = or_(ValueRow.text.contains("."), ValueRow.text.contains("e"))
        yield and_(is_number, ValueRow.number.in_(labels), is_float)


def _metric_text(value: str) -> str:
    """NaN and the infinities as they are kept of metrics, however they are written."""
    try:
        found = to_json(float(value))
    except ValueError:
        return value
    return found if isinstance(found, str) else value


def _ordered(
    column: ColumnElement[int] | InstrumentedAttribute[float | None], operator: str, limit: float
) -> Condition:
    match operator:
        case "<":
            return column < limit
        case "<=":
            return column <= limit
        case ">":
            return column > limit
    return column >= limit


def _text(column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], asked: Comparison) -> Condition:
    """What the operator, or its opposite, finds in a column."""
    if asked.operator in ("~", "!~"):
        return column.icontains(str(asked.values[0]), autoescape=True)
    return column.in_([str(value) for value in asked.values])


def _is_negative(asked: Comparison) -> bool:
    return asked.operator.startswith("!")


def _unless(found: Condition) -> Condition:
    """The opposite, of what is null as well: without an owner, it is not that one's."""
    return not_(func.coalesce(found, false()))


def state_order() -> ColumnElement[str]:
    """The status as people see it, to sort by."""
    return case((in_state(ExperimentStatus.STOPPED), ExperimentStatus.STOPPED), else_=ExperimentRow.status)
