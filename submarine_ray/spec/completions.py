"""What may stand next in a filter that is being written (spec/expressions.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from submarine_ray.spec.expressions import ATTRIBUTES, MAX_LENGTH, Field, FieldKind, WrongExpression, operators

MOST = 12
_CONNECTIVES = ("and ", "or ")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:@\-]*")
_LAST = re.compile(r"""(?P<before>(?:.*[\s(,])?)(?P<word>[^\s(),'"]*)$""", re.DOTALL)
_AFTER_OPERATOR = re.compile(r"""(?P<field>`[^`]+`|[^\s()`'"=<>!~,]+)\s*(?:=|==|!=|<=?|>=?|~|!~)\s*$""")
# Looked for at the beginnings of words only: from each character, it would take quadratic time.
_WHOLE = re.compile(
    r"""(?<![^\s(),])(?:[^\s()`'"=<>!~,]*`[^`]+`|[^\s()`'"=<>!~,]+)\s*"""
    r"""(?:==|!=|<=|>=|!~|[=<>~])\s*(?:'[^']*'|"[^"]*"|[^\s()]+)\s+$"""
)
_FIELD = re.compile(r"""(?:^|\s|\()(?P<field>`[^`]+`|[^\s()`'"=<>!~,]+)\s+$""")


def complete(text: str, fields: Iterable[Field], values: Mapping[str, Sequence[str]]) -> list[str]:
    """The whole texts that a filter may become next, at most MOST. `fields` are the parameters and metrics that there
    are, `values` those of attributes that have few.
    """
    if len(text) > MAX_LENGTH:
        return []
    found = _LAST.match(text)
    before, word = (found["before"], found["word"]) if found else (text, "")
    return [f"{before}{one}" for one in _next(before, word, fields, values)][:MOST]


def written(field: Field) -> str:
    """A field as it stands in a filter."""
    prefix = {FieldKind.METRIC: "metrics.", FieldKind.PARAM: "params."}.get(field.kind, "")
    return f"{prefix}{field.name}" if _PLAIN.fullmatch(field.name) else f"{prefix}`{field.name}`"


def _next(before: str, word: str, fields: Iterable[Field], values: Mapping[str, Sequence[str]]) -> Iterable[str]:
    if after := _AFTER_OPERATOR.search(before):
        known = values.get(after["field"], ())
        return (f"{quoted(one)} " for one in known if one.lower().startswith(word.lower()))
    if _WHOLE.search(before):
        return (one for one in _CONNECTIVES if one.startswith(word.lower()))
    named = _FIELD.search(before)
    if named and named["field"].lower() not in ("and", "or", "not") and not word:
        return (f"{one} " for one in _operators(named["field"].replace("`", "")))
    names = [*ATTRIBUTES, *(written(field) for field in fields)]
    part = word.lower()
    starts = [one for one in names if one.lower().startswith(part)]
    return (f"{one} " for one in [*starts, *(one for one in names if part in one.lower() and one not in starts)])


def _operators(name: str) -> Sequence[str]:
    try:
        return operators(Field.read(name))
    except WrongExpression:  # the filter itself says what is wrong
        return ()


def quoted(value: str) -> str:
    """A value as it stands in a filter. One with both kinds of quotes cannot stand there: its `"` become `'`."""
    if re.fullmatch(r"[^\s()<>=!~,\"'`]+", value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"{}"'.format(value.replace('"', "'"))
