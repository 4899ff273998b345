"""What is offered while a filter is written (spec/completions.py)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.spec.completions import MOST, complete
from submarine_ray.spec.expressions import Field, FieldKind

FIELDS = [
    Field(FieldKind.METRIC, "val/loss"),
    Field(FieldKind.PARAM, "lr"),
    Field(FieldKind.METRIC, "a name"),
]
VALUES = {"status": ["Running", "Failed"], "tag": ["demo", "two words", "it's mine"]}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("st", ["status ", "cluster "]),
        ("val", ["metrics.val/loss "]),
        ("params", ["params.lr "]),
        ("a na", ["a name ", "a metrics.`a name` "]),
        ("status ", ["status = ", "status != "]),
        ("age ", ["age < ", "age <= ", "age > ", "age >= "]),
        ("status = ", ["status = Running ", "status = Failed "]),
        ("status = r", ["status = Running "]),
        ("tag = ", ["tag = demo ", "tag = 'two words' ", 'tag = "it\'s mine" ']),
        ("status = Running ", ["status = Running and ", "status = Running or "]),
        ("status = Running a", ["status = Running and "]),
        ("status = Running and la", []),
        ("status = Running and (ta", ["status = Running and (tag ", "status = Running and (status "]),
        ("metrics.val/loss < ", []),
        ("not fram", ["not framework "]),
        ("metrics.`a name` < 1 ", ["metrics.`a name` < 1 and ", "metrics.`a name` < 1 or "]),
        ("params. ", []),  # no name, as the filter itself says
        ("a" * 300 + " ", []),
        ("a " * 1001, []),  # more than a filter may have
    ],
)
def test_completions(text: str, offered: list[str]) -> None:
    assert complete(text, FIELDS, VALUES)[:4] == offered


@given(st.text(alphabet="ab.=<>~!()`'\", 19params", max_size=40))
def test_any_text_may_be_written_on(text: str) -> None:
    assert len(complete(text, FIELDS, VALUES)) <= MOST


def test_everything_is_offered_to_who_has_written_nothing() -> None:
    assert complete("", FIELDS, VALUES)[:2] == ["id ", "name "] and len(complete("", FIELDS, VALUES)) == 12
