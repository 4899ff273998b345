"""Filters as text (spec/expressions.py)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.spec import expressions
from submarine_ray.spec.expressions import Comparison, Every, Field, FieldKind, Not, Some, Sort, WrongExpression

LOSS = Field(FieldKind.METRIC, "loss")
LR = Field(FieldKind.LOGGED, "lr")
TAG = Field(FieldKind.ATTRIBUTE, "tag")


def test_comparisons_bind_before_and_which_binds_before_or() -> None:
    found = expressions.read("metrics.loss < 0.1 and lr >= 1e-3 or not tag = demo")
    assert found == Some(
        (
            Every((Comparison(LOSS, "<", ("0.1",)), Comparison(LR, ">=", ("1e-3",)))),
            Not(Comparison(TAG, "=", ("demo",))),
        )
    )
    assert expressions.read("(tag = a OR tag = b) AND lr==2") == Every(
        (Some((Comparison(TAG, "=", ("a",)), Comparison(TAG, "=", ("b",)))), Comparison(LR, "=", ("2",)))
    )


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("val/accuracy > 0.9", Field(FieldKind.LOGGED, "val/accuracy"), ("0.9",)),
        ("params.model.layers=3", Field(FieldKind.PARAM, "model.layers"), ("3",)),
        ("`a name` = x", Field(FieldKind.LOGGED, "a name"), ("x",)),
        ("metrics.`a name` = x", Field(FieldKind.METRIC, "a name"), ("x",)),
        ("`tag` = x", Field(FieldKind.LOGGED, "tag"), ("x",)),
        ("name = 'two words'", Field(FieldKind.ATTRIBUTE, "name"), ("two words",)),
        ('name = "it\'s"', Field(FieldKind.ATTRIBUTE, "name"), ("it's",)),
        ("tag in (a, 'b c', d)", TAG, ("a", "b c", "d")),
        ("tag=x", TAG, ("x",)),
        ("created >= 2026-11-01", Field(FieldKind.ATTRIBUTE, "created"), (1793491200000.0,)),
        ("created < 2026-11-01T01:00+01:00", Field(FieldKind.ATTRIBUTE, "created"), (1793491200000.0,)),
        ("age < 7d", Field(FieldKind.ATTRIBUTE, "age"), (604_800.0,)),
        ("duration > 1.5h", Field(FieldKind.ATTRIBUTE, "duration"), (5_400.0,)),
        ("`and` = 1", Field(FieldKind.LOGGED, "and"), ("1",)),
    ],
)
def test_fields_and_values(text: str, field: Field, values: tuple[object, ...]) -> None:
    found = expressions.read(text)
    assert isinstance(found, Comparison) and (found.field, found.values) == (field, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the filter ends where the name of an attribute, a parameter or a metric is expected"),
        ("lr <", "the filter ends where a value for lr is expected"),
        ("lr", "the filter ends where an operator (= != < <= > >= ~ in) after lr is expected"),
        ("lr < 0.1 tag = x", "at character 10: expected 'and', 'or' or the end, not 'tag'"),
        ("lr < small", "at character 6: 'small' is not a number, and lr < needs one"),
        ("lr < nan", "at character 6: 'nan' is not a number, and lr < needs one"),
        ("name < x", "at character 6: name is compared with = != ~ !~, not with <"),
        ("age = 7d", "at character 5: age is compared with < <= > >=, not with ="),
        ("age in (7d)", "age is compared with < <= > >=, not with in"),
        ("status ~ Run", "at character 8: status is compared with = !=, not with ~"),
        (
            "created > yesterday",
            "at character 11: 'yesterday' is no date: write created > 2026-11-01, or 2026-11-01T12",
        ),
        ("duration > 3x", "at character 12: '3x' is no length of time: write duration < 90s, 30m, 12h, 7d or 2w"),
        ("(tag = x", "the filter ends where ')' is expected"),
        ("tag in (x", "the filter ends where ')' is expected"),
        ("tag not x", "at character 9: expected 'in', not 'x'"),
        ("name = 'open", 'at character 8: "\'" opens what is not closed, or has no meaning here'),
        ("params. = 1", "at character 1: 'params.' names no parameter or metric"),
        ("and = 1", "at character 1: expected the name of an attribute, a parameter or a metric, not 'and'"),
        ("(" * 30 + "a=1" + ")" * 30, "at most 20 parentheses"),
        ("not " * 30 + "a=1", "at most 20 parentheses and 'not's"),
        ("age < " + "9" * 400, "is longer than 1,000 years"),
        ("duration > 99999999w", "at character 12: '99999999w' is longer than 1,000 years"),
        ("lr < 1_000", "at character 6: '1_000' is not a number"),
        (" and ".join(["a=1"] * 21), "at most 20 comparisons"),
        ("a=" + "x" * 2000, "at most 2,000 characters"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(WrongExpression, match=re.escape(said)):
        expressions.read(text)


def test_not_in_is_none_of_them() -> None:
    assert expressions.read("tag not in (a, b)") == Comparison(TAG, "!=", ("a", "b"))
    assert expressions.read("not tag in (a, b)") == Not(Comparison(TAG, "=", ("a", "b")))


@given(st.text(alphabet="ab.=<>~!()`'\", 19dtagnotinor", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = expressions.read(text)
    except WrongExpression as failure:
        assert str(failure)
    else:
        assert list(expressions.fields(found))


def test_sort_orders() -> None:
    assert Sort.read("-metrics.loss") == Sort(LOSS, True) and str(Sort.read("-metrics.loss")) == "-metrics.loss"
    assert Sort.read("created") == Sort(Field(FieldKind.ATTRIBUTE, "created"))
    with pytest.raises(WrongExpression, match="many tags"):
        Sort.read("tag")
    with pytest.raises(WrongExpression, match="names no parameter"):
        Sort.read("-")
