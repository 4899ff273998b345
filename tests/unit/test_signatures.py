"""What a model takes and gives, and a request that it can answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from submarine_ray.models.signatures import NotReadable, signature
from submarine_ray.spec.answers.models import ModelColumn, ModelSignature


def model(inputs: Any, outputs: Any = None) -> Any:
    return {"inputs": json.dumps(inputs), "outputs": outputs and json.dumps(outputs), "params": None}


def tensor(shape: list[int], dtype: str = "float32", **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **more}


COLUMNS = [
    {"type": "double", "name": "age", "required": True},
    {"type": "long", "name": "rooms", "required": False},
    {"type": "string", "name": "town", "required": True},
    {"type": "boolean", "name": "new", "required": True},
]


@pytest.mark.parametrize(
    ("inputs", "example"),
    [
        ([tensor([-1, 3])], {"inputs": [[0.0, 0.0, 0.0]]}),
        ([tensor([-1, 1, 2], "int64")], {"inputs": [[[0, 0]]]}),
        (COLUMNS, {"inputs": {"age": [0.0], "rooms": [0], "town": [""], "new": [False]}}),
        ([tensor([-1, 3], name="a"), tensor([-1], "int64", name="b")], {"inputs": {"a": [[0.0, 0.0, 0.0]], "b": [0]}}),
        ([tensor([-1], "str")], {"inputs": [""]}),
        ([tensor([-1, 2], "bool")], {"inputs": [[False, False]]}),
        ([{"type": "datetime", "name": "when"}], {"inputs": {"when": ["1970-01-01T00:00:00"]}}),
        ([tensor([-1, 3], name="a"), {"type": "long", "name": "b"}], None),  # MLflow knows no such mixture
    ],
)
def test_without_a_saved_example_one_is_made_of_zeros(inputs: list[Any], example: Any) -> None:
    assert signature(model(inputs), None).example == example


def test_columns_say_their_type_and_whether_they_are_needed() -> None:
    found = signature(model(COLUMNS, [tensor([-1])]), None)
    assert [(one.name, one.type, one.required) for one in found.inputs][:2] == [
        ("age", "double", True), ("rooms", "long", False),
    ]  # fmt: skip
    assert found.outputs == [ModelColumn(name=None, type="float32", shape=[-1], required=True)]


@pytest.mark.parametrize(
    ("saved", "shown"),
    [
        ({"inputs": [[1.0], [2.0]]}, {"inputs": [[1.0]]}),
        (
            {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}},
            {"dataframe_split": {"columns": ["a"], "data": [[1]]}},
        ),
    ],
)
def test_a_saved_example_is_shown_by_its_first_row(saved: Any, shown: Any) -> None:
    assert signature(model([tensor([-1, 1])]), json.dumps(saved)).example == shown


def test_an_example_too_long_for_people_gives_way_to_zeros() -> None:
    saved = json.dumps({"inputs": [[0.123456] * 5000]})
    assert signature(model([tensor([-1, 2])]), saved).example == {"inputs": [[0.0, 0.0]]}


def test_a_model_without_a_signature_has_none() -> None:
    assert signature(None, None) == ModelSignature(inputs=[], outputs=[], example=None)


def test_a_shape_without_end_makes_no_example() -> None:
    assert signature(model([tensor([-1, 10**6, 10**6])]), None).example is None
    assert signature(model([tensor([10**6]), *COLUMNS]), "[1]").example is None


@pytest.mark.parametrize(
    "inputs", [5, [5], [{}], [{"type": "tensor"}], [{"type": "tensor", "tensor-spec": {"dtype": 1, "shape": ["a"]}}]]
)
def test_what_is_no_signature_is_said_to_be_none(inputs: Any) -> None:
    with pytest.raises(NotReadable, match="cannot be read"):
        signature(model(inputs), None)


def test_an_example_that_is_too_deep() -> None:
    with pytest.raises(NotReadable, match="cannot be read"):
        signature(model(COLUMNS), "[" * 100_000)
