from __future__ import annotations

import json

import numpy as np
import pytest

from serve_apps.model import Model
from serve_apps.protocol import BadRequest, Column, Signature, from_mlflow, from_v2, to_mlflow, to_v2

TENSOR = Signature(dtype="float32", shape=(-1, 3))
COLUMNS = Signature(columns=(Column("a"), Column("b")))


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def test_mlflow_forms() -> None:
    for document in (
        {"inputs": [[1, 2, 3]]},
        {"instances": [[1, 2, 3]]},
        {"dataframe_split": {"columns": ["x", "y", "z"], "data": [[1, 2, 3]]}},
    ):
        array = from_mlflow(body(document), TENSOR)
        assert array.dtype == np.float32
        assert array.tolist() == [[1, 2, 3]]
    frame = from_mlflow(body({"dataframe_records": [{"a": 1, "b": 2}]}), COLUMNS)
    assert list(frame.columns) == ["a", "b"]


def test_open_inference_protocol() -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    array, request_id = from_v2(body({"id": "7", "inputs": [tensor]}), TENSOR)
    assert (array.shape, request_id) == ((1, 3), "7")
    answer = to_v2(np.ones((1, 2), np.float32), "m", "1", request_id)
    assert answer["outputs"][0] == {"name": "output-0", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", body({}), body({"x": 1}), body({"inputs": []}), body({"inputs": [[1, 2]]}), body({"inputs": [["a", "b", "c"]]}),
        body({"inputs": [[1, 2, 3], [1]]}), body({"inputs": [[1, 2, 3]], "more": 1}), body({"inputs": [[1, 2, 3]], "instances": []}),
        body({"dataframe_split": 5}),
    ],
)  # fmt: skip
def test_bad_input_names_the_signature(content: bytes) -> None:
    with pytest.raises(BadRequest, match=r"float32 tensor of shape \[-1, 3\]") as caught:
        from_mlflow(content, TENSOR)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2]},
        {"name": "x", "shape": [1, 3], "datatype": "NOPE", "data": [1, 2, 3]},
        {"name": "x", "shape": [1, 3], "datatype": "INT64", "data": [1, 2, 3]},
        {"name": "x", "shape": "no", "datatype": "FP32", "data": [1, 2, 3]},
    ],
)
def test_bad_tensors_name_the_signature(tensor: dict[str, object]) -> None:
    with pytest.raises(BadRequest, match="float32 tensor"):
        from_v2(body({"inputs": [tensor]}), TENSOR)


def test_missing_and_unknown_columns_are_named() -> None:
    with pytest.raises(BadRequest, match="column 'b' is missing"):
        from_mlflow(body({"dataframe_records": [{"a": 1}]}), COLUMNS)
    with pytest.raises(BadRequest, match="unknown column 'c'"):
        from_mlflow(body({"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}), COLUMNS)


TYPED = Signature.from_mlmodel(
    {
        "signature": {
            "inputs": json.dumps(
                [
                    {"name": "price", "type": "double", "required": True},
                    {"name": "rooms", "type": "long", "required": True},
                    {"name": "town", "type": "string", "required": False},
                ]
            )
        }
    }
)


def test_columns_come_in_the_models_types() -> None:
    """JSON knows no difference between 2 and 2.0; the model does."""
    frame = from_mlflow(body({"dataframe_split": {"columns": ["price", "rooms"], "data": [[2, 3.0], [1, 1]]}}), TYPED)
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "int64"]
    frame = from_mlflow(body({"inputs": {"price": [1.5], "rooms": [2], "town": ["Bern"]}}), TYPED)
    assert list(frame.columns) == ["price", "rooms", "town"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"price": "high", "rooms": 1}, "column 'price' has values that are no double"),
        ({"price": 1, "rooms": 2.5}, "column 'rooms' has values that are no long"),
        ({"price": 1, "rooms": None}, "column 'rooms'"),
        ({"price": 1, "rooms": 1, "town": 5}, "column 'town' has values that are no string"),
        ({"price": 1}, "column 'rooms' is missing"),
    ],
)
def test_values_of_another_type_are_refused(row: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        from_mlflow(body({"dataframe_records": [row]}), TYPED)
    assert "the columns price (double), rooms (long), town (string, optional)" in str(caught.value)


def test_a_batch_is_one_call_and_each_request_gets_its_rows() -> None:
    calls = []

    def predict(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return rows * 2

    outputs = Model("t", TENSOR, predict).predict_many([np.ones((1, 3)), np.full((2, 3), 5.0)])
    assert calls == [3]
    assert [o.tolist() for o in outputs] == [[[2, 2, 2]], [[10, 10, 10], [10, 10, 10]]]


def test_one_bad_request_in_a_batch_does_not_spoil_the_others() -> None:
    def predict(rows: np.ndarray) -> np.ndarray:
        if (rows < 0).any():
            raise ValueError("negative")
        return rows

    good, bad = Model("t", TENSOR, predict).predict_many([np.ones((1, 3)), -np.ones((1, 3))])
    assert to_mlflow(good)["predictions"].tolist() == [[1, 1, 1]]
    with pytest.raises(BadRequest, match="negative"):
        to_mlflow(bad)
