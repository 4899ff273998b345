"""By what tables of experiments are grouped, and the filter that finds the experiments of a group."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.spec.completions import quoted, written
from submarine_ray.spec.expressions import Comparison, Expression, Field, FieldKind, Not, WrongExpression, read

GROUPING = ("status", "tag", "owner", "framework", "cluster", "name")


def read_group(text: str) -> Field:
    """The field that groups: an attribute, or a parameter. Raises WrongExpression."""
    field = Field.read(text.replace("`", ""))
    if field.kind is FieldKind.METRIC or (field.kind is FieldKind.ATTRIBUTE and field.name not in GROUPING):
        raise WrongExpression(f"experiments are grouped by {', '.join(GROUPING)} or params.NAME, not by {field}", "by")
    return key_field(field)


def key_field(field: Field) -> Field:
    """The field itself; of a name alone the parameter."""
    return Field(FieldKind.PARAM, field.name) if field.kind is FieldKind.LOGGED else field


@dataclass(frozen=True)
class GroupKey:
    """What the experiments of a group have in common: a text or a number of a field, or no value of it."""

    field: Field
    text: str | None = None
    number: float | None = None

    @property
    def value(self) -> str | float | None:
        return self.number if self.text is None else self.text

    @property
    def expression(self) -> Expression:
        """What finds them."""
        if self.value is None:
            return Not(Comparison(self.field, "~", ("",)))
        return Comparison(self.field, "=", (self._said,))

    @property
    def _said(self) -> str:
        return str(self.value)


def condition(key: GroupKey) -> str | None:
    """A filter that finds the experiments of a group; None if no filter can say it."""
    if key.value is None:
        return f"not {written(key.field)} ~ ''"
    text = str(key.value)
    if "'" in text and '"' in text:
        return None
    said = f"{written(key.field)} = {quoted(text)}"
    try:
        return said if read(said) == key.expression else None
    except WrongExpression:
        return None
