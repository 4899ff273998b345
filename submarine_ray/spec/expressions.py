"""Filters as text: `val/accuracy > 0.9 and lr < 0.01 and tag = baseline`. REST, SDK, CLI and workbench share them.

    expression  = term { "or" term }
    term        = factor { "and" factor }
    factor      = "not" factor | "(" expression ")" | comparison
    comparison  = field operator value | field [ "not" ] "in" "(" value { "," value } ")"

A field is an attribute (`status`), `params.NAME`, `metrics.NAME`, or a NAME that either may have. A name with other
characters than letters, digits and `_ . / : @ -` stands in backticks, a text with blanks in quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from submarine_ray.spec.experiment import ExperimentStatus

MAX_LENGTH = 2000
MAX_DEPTH = 20
MAX_COMPARISONS = 20
MAX_SORT = 260  # a name of 250, its prefix, and a sign
MAX_SECONDS = 1_000 * 366 * 86_400


class FieldKind(StrEnum):
    """What a field is: of the experiment itself, or of what it logged."""

    ATTRIBUTE = "attribute"
    PARAM = "param"
    METRIC = "metric"
    LOGGED = "logged"  # a parameter or a metric


class ValueKind(StrEnum):
    """What an attribute's values are."""

    TEXT = "text"
    TIME = "time"
    SECONDS = "seconds"


ATTRIBUTES = {
    "id": ValueKind.TEXT,
    "name": ValueKind.TEXT,
    "status": ValueKind.TEXT,
    "owner": ValueKind.TEXT,
    "framework": ValueKind.TEXT,
    "cluster": ValueKind.TEXT,
    "tag": ValueKind.TEXT,
    "created": ValueKind.TIME,
    "finished": ValueKind.TIME,
    "age": ValueKind.SECONDS,
    "duration": ValueKind.SECONDS,
}
_PREFIXES = {"params.": FieldKind.PARAM, "metrics.": FieldKind.METRIC}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")
_ORDERS = ("<", "<=", ">", ">=")
_WORDS = frozenset({"and", "or", "not", "in"})
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>`[^`]{1,250}`) | (?P<text>"[^"]*"|'[^']*') | (?P<operator><=|>=|!=|==|!~|[=<>~])
        | (?P<mark>[(),]) | (?P<word>[^\s()<>=!~,"'`]+)
    )""",
    re.VERBOSE,
)
_LABEL = re.compile(r"[-+]?(?:0\d+|\d{16,})")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


class WrongExpression(ValueError):
    """A filter that cannot be read: the message says what is wrong, and at which character; `parameter` is the part of
    a query that has it (spec/filters.py).
    """

    def __init__(self, message: str, parameter: str = "filter") -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True)
class Field:
    """An attribute, or a parameter or metric by its name."""

    kind: FieldKind
    name: str

    @classmethod
    def read(cls, text: str) -> Field:
        """The field that a text names. Raises WrongExpression if nothing has such a name."""
        for prefix, kind in _PREFIXES.items():
            if text.startswith(prefix):
                return cls(kind, _checked_name(text.removeprefix(prefix), text))
        if text in ATTRIBUTES:
            return cls(FieldKind.ATTRIBUTE, text)
        return cls(FieldKind.LOGGED, _checked_name(text, text))

    def __str__(self) -> str:
        prefix = next((prefix for prefix, kind in _PREFIXES.items() if kind == self.kind), "")
        return f"{prefix}{self.name}"


@dataclass(frozen=True)
class Comparison:
    """`field operator values`: the operator is one of = != < <= > >= ~ !~, where several values mean any of them
    (`in`), and of `!=` none of them (`not in`). Of a time, each value is milliseconds since 1970; of a length of time,
    seconds; else the text as written.
    """

    field: Field
    operator: str
    values: tuple[str | float, ...]


@dataclass(frozen=True)
class Every:
    """All parts are true."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Some:
    """At least one part is true."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    """The part is not true."""

    part: Expression


Expression = Comparison | Every | Some | Not


@dataclass(frozen=True)
class Sort:
    """By which field a table is sorted."""

    field: Field
    descending: bool = False

    @classmethod
    def read(cls, text: str) -> Sort:
        """`-metrics.loss` is descending. Raises WrongExpression."""
        field = Field.read(text.removeprefix("-").replace("`", ""))
        if field == Field(FieldKind.ATTRIBUTE, "tag"):
            raise WrongExpression("an experiment has many tags: it cannot be sorted by them")
        return cls(field, text.startswith("-"))

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.field}"


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """All comparisons in an expression."""
    match expression:
        case Comparison():
            yield expression
        case Not(part=part):
            yield from comparisons(part)
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from comparisons(part)


def fields(expression: Expression) -> Iterator[Field]:
    """The fields of all comparisons."""
    return (one.field for one in comparisons(expression))


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word


def read(text: str) -> Expression:
    """The expression that a text is. Raises WrongExpression."""
    if len(text) > MAX_LENGTH:
        raise WrongExpression(f"a filter has at most {MAX_LENGTH:,} characters, and this one has {len(text):,}")
    return _Reader(text).whole()


def number(value: str) -> float | None:
    """The finite number that a text is, if it is one. `2026_01` is none: only Python's own code is written so."""
    try:
        found = math.nan if "_" in value else float(value)
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def is_label(value: str) -> bool:
    """Whether a text is digits that a 64-bit number does not give back, as a long seed or `007`."""
    return _LABEL.fullmatch(value) is not None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._comparisons = 0

    def whole(self) -> Expression:
        found = self._expression(0)
        if left := self._peek():
            raise _wrong(left.at, f"expected 'and', 'or' or the end, not {left.text!r}")
        return found

    def _expression(self, depth: int) -> Expression:
        parts = [self._term(depth)]
        while self._take_word("or"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _term(self, depth: int) -> Expression:
        parts = [self._factor(depth)]
        while self._take_word("and"):
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _factor(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise WrongExpression(f"a filter has at most {MAX_DEPTH} parentheses and 'not's within one another")
        if self._take_word("not"):
            return Not(self._factor(depth + 1))
        if self._take_mark("("):
            found = self._expression(depth + 1)
            self._expect(")")
            return found
        return self._comparison()

    def _comparison(self) -> Expression:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise WrongExpression(f"a filter has at most {MAX_COMPARISONS} comparisons")
        field = self._field()
        if self._take_word("not"):
            self._expect_word("in")
            return self._one_of(field, "!=")
        if self._take_word("in"):
            return self._one_of(field, "=")
        token = self._take("operator", f"an operator (= != < <= > >= ~ in) after {field}")
        operator = "=" if token.text == "==" else token.text
        allowed = operators(field)
        if operator not in allowed:
            raise _wrong(token.at, f"{field} is compared with {' '.join(allowed)}, not with {token.text}")
        return Comparison(field, operator, (self._value(field, operator),))

    def _field(self) -> Field:
        token = self._peek()
        if token is None or token.kind not in ("name", "word") or token.text.lower() in _WORDS:
            raise self._missing("the name of an attribute, a parameter or a metric")
        self._next += 1
        if token.kind == "name":
            return Field(FieldKind.LOGGED, token.text[1:-1])
        after = self._peek()
        if token.text in _PREFIXES and after and after.kind == "name":  # metrics.`a name`
            self._next += 1
            return Field(_PREFIXES[token.text], after.text[1:-1])
        try:
            return Field.read(token.text)
        except WrongExpression as failure:
            raise _wrong(token.at, str(failure)) from failure

    def _one_of(self, field: Field, operator: str) -> Comparison:
        if "=" not in (allowed := operators(field)):
            raise WrongExpression(f"{field} is compared with {' '.join(allowed)}, not with in")
        self._expect("(")
        values = [self._value(field, "=")]
        while self._take_mark(","):
            values.append(self._value(field, "="))
        self._expect(")")
        return Comparison(field, operator, tuple(values))

    def _value(self, field: Field, operator: str) -> str | float:
        token = self._peek()
        if token is None or token.kind not in ("text", "word"):
            raise self._missing(f"a value for {field}")
        self._next += 1
        given = token.text[1:-1] if token.kind == "text" else token.text
        kind = ATTRIBUTES[field.name] if field.kind is FieldKind.ATTRIBUTE else ValueKind.TEXT
        if field.name == "status" and field.kind is FieldKind.ATTRIBUTE:
            return _status(given, token.at)
        if kind is ValueKind.TIME:
            return _time(given, field, token.at)
        if kind is ValueKind.SECONDS:
            return _seconds(given, field, token.at)
        if operator in _ORDERS and number(given) is None:
            raise _wrong(token.at, f"{given!r} is not a number, and {field} {operator} needs one")
        return given

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self, kind: str, what: str) -> _Token:
        token = self._peek()
        if token is None or token.kind != kind:
            raise self._missing(what)
        self._next += 1
        return token

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and token.is_word(word)
        self._next += found
        return found

    def _take_mark(self, mark: str) -> bool:
        token = self._peek()
        found = token is not None and token.kind == "mark" and token.text == mark
        self._next += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise self._missing(repr(mark))

    def _expect_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._missing(repr(word))

    def _missing(self, what: str) -> WrongExpression:
        token = self._peek()
        if token is None:
            return WrongExpression(f"the filter ends where {what} is expected")
        return _wrong(token.at, f"expected {what}, not {token.text!r}")


def operators(field: Field) -> tuple[str, ...]:
    """Those that a field is compared with."""
    if field.kind is not FieldKind.ATTRIBUTE:
        return OPERATORS
    if ATTRIBUTES[field.name] is not ValueKind.TEXT:
        return _ORDERS
    return ("=", "!=") if field.name == "status" else ("=", "!=", "~", "!~")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise _wrong(at, f"{text[at]!r} opens what is not closed, or has no meaning here")
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()


def _checked_name(name: str, text: str) -> str:
    if not name or len(name) > 250:
        raise WrongExpression(f"{text[:80]!r} names no parameter or metric: a name has 1 to 250 characters")
    return name


def _status(given: str, at: int) -> str:
    for status in ExperimentStatus.SEEN:
        if status.lower() == given.lower():
            return status
    raise _wrong(at, f"{given!r} is no status; there are {', '.join(ExperimentStatus.SEEN)}")


def _time(given: str, field: Field, at: int) -> float:
    """A date or a time, UTC where it does not say, in milliseconds since 1970."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as failure:
        raise _wrong(at, f"{given!r} is no date: write {field} > 2026-11-01, or 2026-11-01T12:30") from failure
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def _seconds(given: str, field: Field, at: int) -> float:
    found = _DURATION.fullmatch(given)
    if found is None:
        raise _wrong(at, f"{given!r} is no length of time: write {field} < 90s, 30m, 12h, 7d or 2w")
    seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if seconds > MAX_SECONDS:
        raise _wrong(at, f"{given[:80]!r} is longer than 1,000 years")
    return seconds


def _wrong(at: int, why: str) -> WrongExpression:
    return WrongExpression(f"at character {at + 1}: {why}")
