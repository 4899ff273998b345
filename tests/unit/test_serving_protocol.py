"""Requests that cannot be right, the Open Inference Protocol, and which values fit which types."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

from serve_apps.encoding import to_v2
from serve_apps.errors import BadRequest
from serve_apps.fitting import limits, misfit
from serve_apps.parsing import Question, cut, from_mlflow, from_v2
from serve_apps.server import metadata
from serve_apps.signature import Signature


def signature(*specs: Any, params: ParamSchema | None = None) -> Signature:
    return Signature(Model(signature=ModelSignature(inputs=Schema(list(specs)), params=params)))


TENSOR = signature(TensorSpec(np.dtype("float32"), (-1, 3)))
TYPED = signature(ColSpec("double", "price"), ColSpec("long", "rooms"), ColSpec("string", "town", required=False))
PAIR = signature(TensorSpec(np.dtype("int64"), (-1,), "ids"), TensorSpec(np.dtype("float32"), (-1, 2), "image"))


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def tensor(name: str, datatype: str, *data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": list(data)}


def test_mlflow_forms_of_a_tensor() -> None:
    for document in ({"inputs": [[1, 2, 3]]}, {"instances": [[1, 2, 3]]}):
        array = from_mlflow(body(document), TENSOR).data
        assert array.dtype == np.float32
        assert array.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"inputs": [[1, 2, 3]]', body({}), body({"x": 1}), body({"inputs": []}), body({"inputs": [[1, 2]]}),
        body({"inputs": [["a", "b", "c"]]}), body({"inputs": [[1, 2, 3], [1]]}), body({"inputs": [[1, 2, 3]], "more": 1}),
        body({"inputs": [[1, 2, 3]], "instances": []}), body({"dataframe_split": 5}), body({"inputs": {"a": 1}}), body({"inputs": None}),
        body({"dataframe_records": {"a": 1}}), body({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}), body({"inputs": [[{}, 1, 2]]}),
        b'{"inputs": ' + b"[" * 100_000, body({"dataframe_split": {"columns": [["a"], {}], "data": [[1, 2]]}}),
    ],
)  # fmt: skip
def test_bad_input_names_the_signature(content: bytes) -> None:
    with pytest.raises(BadRequest, match=r"float32 tensor of shape \[-1, 3\]") as caught:
        from_mlflow(content, TENSOR)
    assert caught.value.status == 400


def test_json_of_python_is_understood_as_python_means_it() -> None:
    array = from_mlflow(b'{"inputs": [[NaN, Infinity, 1e999]]}', TENSOR).data
    assert str(array.tolist()) == "[[nan, inf, inf]]"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"price": "high", "rooms": 1}, "column 'price' has values that are no double"),
        ({"price": 1, "rooms": 2.5}, "column 'rooms' has values that are no long"),
        ({"price": 1, "rooms": None}, "column 'rooms'"),
        ({"price": 1, "rooms": 1, "town": 5}, "column 'town' has values that are no string"),
        ({"price": 1}, "column 'rooms' is missing"),
        ({"price": 1, "rooms": 1, "c": 3}, "unknown column 'c'"),
    ],
)
def test_values_of_another_type_are_refused(row: dict[str, object], said: str) -> None:
    for document in ({"dataframe_records": [row]}, {"inputs": {name: [value] for name, value in row.items()}}):
        with pytest.raises(BadRequest, match=said) as caught:
            from_mlflow(body(document), TYPED)
        assert "the columns price (double), rooms (long), town (string, optional)" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "fits", "misfits"),
    [
        ("int32", [1, 2.0, 3.0, "7", True, -(2**31), 2**31 - 1], [2.5, "x", "2.0", None, math.nan, math.inf, 2**31, 2**70, [1, "x"], {}]),
        ("int64", [2**63 - 1, -(2**63), 2.0**62], [2**63, 2.0**63, 1e300, -(2**63) - 1, "9223372036854775808"]),
        ("uint8", [0, 255, 255.0, "255"], [-1, 256, -1.0, "-1"]),
        ("uint64", [2**64 - 1, 0], [-1, 2**64]),
        ("int8", [-128], [128]), ("int16", [-(2**15)], [2**15]), ("uint16", [2**16 - 1], [2**16]), ("uint32", [2**32 - 1], [2**32]),
        ("float16", [65504], [1e6]),
        ("float32", [1e38, 2**70, None, math.nan, math.inf, "1.5", "nan", True, 2**200 * 0.0], [1e39, "1e39", 2**200, "x", {}]),
        ("float64", [1e308, 2**200, "1e300", None], ["x", [None, "x"], 2**2000]),
        ("bool", [True, 0, 1.0, False], [2, 0.5, "true", None, -1]),
        ("string", ["a", None, math.nan, ""], [1, True, ["a"]]),
        ("binary", ["aGVsbG8=", "", "aGVs\nbG8="], ["a", "a$==", "aGVs$bG8=", "é", 5, None]),
        ("datetime", ["whatever"], []),
        ("object", [{}], []),
    ],
)  # fmt: skip
def test_what_fits_a_type(wanted: str, fits: list[Any], misfits: list[Any]) -> None:
    for value in fits:
        assert misfit([value], wanted) is None, value
    for value in misfits:
        assert misfit([value], wanted), value
        assert misfit(pd.Series([value], dtype=object), wanted), value
    assert not fits or misfit([], wanted) is None


def test_the_limits_are_exact() -> None:
    assert limits("int64") == (-(2**63), 2**63 - 1) and limits("uint64") == (0, 2**64 - 1)
    assert limits("bool") == (0, 1)
    assert "from 0 to 255, such as 256" in str(misfit([1, 256], "uint8"))


def test_what_is_no_table_stands_for_the_only_column() -> None:
    one = signature(ColSpec("double", "x"))
    assert from_mlflow(body({"inputs": [1.0, 2.5]}), one)
    with pytest.raises(BadRequest, match="no double"):
        from_mlflow(body({"inputs": ["high"]}), one)


def test_a_long_name_is_cut_where_it_is_told() -> None:
    for ask in (from_mlflow, from_v2):
        with pytest.raises(BadRequest, match=f"unknown field '{'x' * 100}'"):
            ask(body({"x" * 300: 1}), TYPED)


def test_the_first_value_that_does_not_fit_is_told_and_cut() -> None:
    said = [
        misfit(np.array([1.5, 2.5]), "int32"),
        misfit(np.array([2, 3]), "bool"),
        misfit(np.array([math.inf]), "int32"),
    ]
    assert [str(one).partition("such as ")[2] for one in said] == ["1.5", "2", "inf"]
    assert misfit(pd.Series([3.0], dtype=object), "int32") is None
    assert str(misfit(["x" * 99], "int32")).endswith(f"such as '{'x' * 39}")
    assert str(misfit([10**99], "int32")).endswith(f"such as 1{'0' * 39}")


def test_a_table_may_say_its_character_set() -> None:
    frame = from_mlflow(b"price,rooms\n1,2\n", TYPED, "Text/CSV; charset=utf-8").data
    assert frame.to_dict("list") == {"price": [1.0], "rooms": [2]}


def test_of_mlflows_message_what_is_wrong_is_kept() -> None:
    assert cut("{'a': 1} Error: no such\n column.") == "no such column"
    assert cut("[1] Failed to convert column a. Error: x.") == "Failed to convert column a. Error: x"


def test_no_tensor_and_one_given_twice_are_refused() -> None:
    for tensors in ([], "x", [1], {"a": 1}):
        with pytest.raises(BadRequest, match="'inputs' must be a list of tensors"):
            from_v2(body({"inputs": tensors}), TENSOR)
    long = tensor("x" * 300, "FP32", 1)
    with pytest.raises(BadRequest, match=f"tensor '{'x' * 100}' is given twice"):
        from_v2(body({"inputs": [long, long]}), TENSOR)


def test_a_chat_is_handed_on_as_it_is() -> None:
    chat = {"messages": [{"role": "user", "content": "hello"}]}
    question = from_mlflow(body(chat), Signature())
    assert (question.data, question.is_wrapped) == (chat, False) and question.params is not None
    with pytest.raises(BadRequest, match="unknown field 'messages'"):
        from_mlflow(body(chat), TENSOR)


def test_open_inference_protocol() -> None:
    one = tensor("x", "FP32", 1, 2, 3, shape=[1, 3])
    question = from_v2(body({"id": "7", "inputs": [one]}), TENSOR)
    assert (question.data.shape, question.id) == ((1, 3), "7")
    answer = json.loads(to_v2(np.ones((1, 2), np.float32), question, "m", "1"))
    assert answer == {
        "model_name": "m", "model_version": "1", "id": "7",
        "outputs": [{"name": "output-0", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]}],
    }  # fmt: skip


def test_tensors_are_columns_or_named_tensors_by_the_signature() -> None:
    given = [tensor("price", "FP64", 1, 2), tensor("rooms", "INT32", 3, 4), tensor("town", "BYTES", "Bern", "Chur")]
    frame = from_v2(body({"inputs": given}), TYPED).data
    assert frame.to_dict("list") == {"price": [1, 2], "rooms": [3, 4], "town": ["Bern", "Chur"]}
    assert [str(dtype) for dtype in frame.dtypes][:2] == ["float64", "int64"]
    pair = [tensor("image", "FP32", 1, 2, shape=[1, 2]), tensor("ids", "INT32", 5)]
    found = from_v2(body({"inputs": pair}), PAIR).data
    assert {name: (str(array.dtype), array.shape) for name, array in found.items()} == {
        "ids": ("int64", (1,)), "image": ("float32", (1, 2)),
    }  # fmt: skip
    text = signature(TensorSpec(np.dtype("str"), (-1,)))
    assert from_v2(body({"inputs": [tensor("x", "BYTES", "a", "b")]}), text).data.tolist() == ["a", "b"]
    unknown = from_v2(body({"inputs": [tensor("a", "INT8", 1), tensor("b", "BOOL", True)]}), Signature()).data
    assert list(unknown) == ["a", "b"]


@pytest.mark.parametrize(
    ("declared", "tensors", "said"),
    [
        (TENSOR, [tensor("x", "FP32", 1, 2, shape=[1, 3])], "float32 tensor"),
        (TENSOR, [tensor("x", "NOPE", 1, 2, 3, shape=[1, 3])], "unknown datatype 'NOPE'.*float32 tensor"),
        (TENSOR, [tensor("x", "INT64", 1, 2, 3, shape=[1, 3])], "datatype is INT64"),
        (TENSOR, [tensor("x", "BOOL", True, True, True, shape=[1, 3])], "datatype is BOOL"),
        (TENSOR, [tensor("x", "FP32", 1, 2, 3) | {"shape": "no"}], "float32 tensor"),
        (TENSOR, [tensor("x", "FP64", 1, 2, 1e300, shape=[1, 3])], "outside of float32"),
        (TENSOR, [tensor("x", "FP32", 1), tensor("y", "FP32", 1)], "there are 2 tensors"),
        (TYPED, [tensor("price", "FP64", 1), tensor("rooms", "FP64", 2.5)], "'rooms' has values that are no long"),
        (TYPED, [tensor("price", "FP64", 1), tensor("rooms", "UINT64", 2**63)], "'rooms' .* outside of long"),
        (TYPED, [tensor("price", "FP64", 1), tensor("rooms", "INT8", 300)], "outside of int8"),
        (TYPED, [tensor("price", "FP64", 1), tensor("rooms", "INT64", 2.5)], "no int64, such as 2.5"),
        (TYPED, [tensor("price", "FP64", 1), tensor("rooms", "INT64", 2, 3)], "different numbers of rows"),
        (TYPED, [tensor("price", "FP64", 1), tensor("price", "FP64", 1)], "'price' is given twice"),
        (TYPED, [tensor("price", "FP64", 1)], "'rooms' is missing"),
        (PAIR, [tensor("ids", "FP64", 1.5), tensor("image", "FP32", 1, 2, shape=[1, 2])], "'ids' .* no int64"),
        (PAIR, [tensor("ids", "INT64", 1)], "'image' is missing"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(declared: Signature, tensors: list[Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        from_v2(body({"inputs": tensors}), declared)


def test_parameters_of_the_open_inference_protocol() -> None:
    warm = signature(TensorSpec(np.dtype("float32"), (-1, 3)), params=ParamSchema([ParamSpec("heat", "double", 0.5)]))
    asked = {"inputs": [tensor("x", "FP32", 1, 2, 3, shape=[1, 3])]}
    assert from_v2(body(asked), warm).params == {"heat": 0.5}
    assert from_v2(body(asked | {"parameters": {"heat": 2}}), warm).params == {"heat": 2.0}
    for declared in (warm, TENSOR):
        with pytest.raises(BadRequest, match="unknown parameter 'cold'"):
            from_v2(body(asked | {"parameters": {"cold": 2}}), declared)


def test_outputs_that_are_no_list_are_refused() -> None:
    with pytest.raises(BadRequest, match="'outputs' must be a list"):
        from_v2(body({"inputs": [tensor("input-0", "FP32", 1, 2, 3, shape=[1, 3])], "outputs": 3}), TENSOR)


def test_many_columns_cost_no_square_of_their_number() -> None:
    class Name(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"c{number}") for number in range(500)]
    signature(*(ColSpec("double", str(name)) for name in names)).check_names(names)
    assert Name.compared < 10 * len(names)


def test_outputs_are_a_tensor_for_each_column_or_key() -> None:
    def outputs(result: Any, *wanted: str) -> list[tuple[Any, ...]]:
        answer = json.loads(to_v2(result, Question(None, wanted=wanted), "m", "1"))
        return [(one["name"], one["datatype"], one["shape"], one["data"]) for one in answer["outputs"]]

    assert outputs(pd.DataFrame({"a": [1, 2], "b": ["x", None]})) == [
        ("a", "INT64", [2], [1, 2]), ("b", "BYTES", [2], ["x", "NaN"]),
    ]  # fmt: skip
    assert outputs({"a": np.ones(1), "b": ["x"]}, "b") == [("b", "BYTES", [1], ["x"])]
    assert outputs([{"label": "a"}]) == [("output-0", "BYTES", [1], ['{"label": "a"}'])]
    assert outputs([[1, 2], [3]]) == [("output-0", "BYTES", [2], ["[1, 2]", "[3]"])]
    assert outputs(np.array([b"hello"])) == [("output-0", "BYTES", [1], ["aGVsbG8=\n"])]
    with pytest.raises(BadRequest, match="there is no output 'c'; the model answers a"):
        outputs({"a": [1]}, "c")


def test_the_description_of_every_kind_of_input() -> None:
    def described(declared: Signature) -> list[tuple[Any, ...]]:
        return [
            (one["name"], one["datatype"], one["shape"]) for one in metadata("m", "1", declared, "pyfunc")["inputs"]
        ]

    assert described(TENSOR) == [("input-0", "FP32", [-1, 3])]
    assert described(TYPED) == [("price", "FP64", [-1]), ("rooms", "INT64", [-1]), ("town", "BYTES", [-1])]
    assert described(PAIR) == [("ids", "INT64", [-1]), ("image", "FP32", [-1, 2])]
    assert described(Signature()) == []


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        (["2024-05-01", "yesterday"], "are no datetime, such as yesterday"),
        (["2024-05-01T10:00:00Z"], "name a time zone, which the model's times lack, such as 2024-05-01T10:00:00Z"),
        (["2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00+02:00"], "name a time zone"),
        (["2024-05-01T10:00:00", "2024-05-01"], "are written in several ways, such as 2024-05-01T10:00:00"),
    ],
)
def test_times_that_do_not_fit_are_told_in_words_for_who_sends_them(moments: list[str], said: str) -> None:
    sold = signature(ColSpec("datetime", "sold"))
    forms: list[Any] = [{"dataframe_records": [{"sold": moment} for moment in moments]}, {"inputs": {"sold": moments}}]
    for form in forms:
        with pytest.raises(BadRequest, match=re.escape(f"column 'sold' has values that {said}")):
            from_mlflow(body(form), sold)


def test_times_that_fit_pass() -> None:
    sold = signature(ColSpec("datetime", "sold", required=False))
    for moments in (["2024-05-01", None], ["2024-05-01T10:00:00", "2024-05-02T10:00:00"], [1714521600000]):
        assert len(
            from_mlflow(body({"dataframe_split": {"columns": ["sold"], "data": [[m] for m in moments]}}), sold).data
        ) == len(moments)


def native(declared: Signature) -> Signature:
    return Signature(declared.metadata, is_native=True)


def split(columns: list[str], *rows: list[Any]) -> bytes:
    return body({"dataframe_split": {"columns": columns, "data": list(rows)}})


def test_rows_may_be_objects() -> None:
    rows = [{"ids": 1, "image": [1, 2]}, {"ids": 2, "image": [3, 4]}]
    found = from_mlflow(body({"instances": rows}), PAIR).data
    assert {name: array.tolist() for name, array in found.items()} == {"ids": [1, 2], "image": [[1, 2], [3, 4]]}
    typed = from_mlflow(body({"inputs": [{"price": 1, "rooms": 2}, {"price": 3, "rooms": 4}]}), TYPED).data
    assert typed == [{"price": 1, "rooms": 2}, {"price": 3, "rooms": 4}]
    with pytest.raises(BadRequest, match="column 'rooms' has values that are no long"):
        from_mlflow(body({"inputs": [{"price": 1, "rooms": 2}, {"price": 1, "rooms": 2.5}]}), TYPED)
    for value in (5, [], [1], [1, {"price": 1}]):
        with pytest.raises(BadRequest, match="inputs has another form"):
            from_mlflow(body({"inputs": value}), TYPED)


def test_what_declares_nothing_takes_what_comes() -> None:
    for declared in (Signature(), Signature(is_native=True)):
        question = from_mlflow(body({"inputs": [1, 2]}), declared)
        assert (question.data.tolist(), question.params, question.is_wrapped) == ([1, 2], None, True)
        exact = from_mlflow(split(["x"], [2**70 + 1]), declared).data["x"].tolist()
        assert exact == [2**70 + 1]  # Python's own numbers, which compare exactly
    with pytest.raises(BadRequest, match="unknown field 'messages'"):
        from_mlflow(body({"messages": [{"role": "user", "content": "hello"}]}), Signature(is_native=True))


def test_cells_may_be_lists() -> None:
    assert len(from_mlflow(body({"dataframe_records": [{"ids": 1, "image": [1, 2]}]}), PAIR).data) == 1
    with pytest.raises(BadRequest, match="column 'image' has values that are no float32"):
        from_mlflow(body({"dataframe_records": [{"ids": 1, "image": [1, "x"]}]}), PAIR)


def test_a_table_may_be_empty() -> None:
    assert from_mlflow(split(["town"]), signature(ColSpec("string", "town"))).data.empty
    assert from_mlflow(split(["price", "rooms"]), TYPED).data.empty


def test_columns_are_found_by_their_names_and_where_there_are_none_by_their_places() -> None:
    frame = from_mlflow(split(["rooms", "price"], [2, 1.5]), TYPED).data
    assert frame.to_dict("list") == {"price": [1.5], "rooms": [2]}
    nameless = signature(ColSpec("double"), ColSpec("long"))
    assert from_mlflow(split(["a", "b"], [1.5, 2]), nameless).data.to_dict("list") == {"a": [1.5], "b": [2]}
    with pytest.raises(BadRequest, match="column 'b' has values that are no long"):
        from_mlflow(split(["a", "b"], [1.5, 2.5]), nameless)
    assert from_mlflow(split(["a"], [1.5]), nameless).data.to_dict("list") == {"a": [1.5]}  # the model refuses it
    with pytest.raises(BadRequest, match="the values are no double, such as 'high'"):
        from_mlflow(body({"inputs": ["high"]}), signature(ColSpec("double")))
    assert from_mlflow(body({"inputs": [[1.0, 2.5]]}), nameless).data.tolist() == [[1.0, 2.5]]


def test_a_table_is_a_tensor_for_who_is_called_with_one() -> None:
    table = split(["a", "b", "c"], [1.5, 2, 3])
    assert isinstance(from_mlflow(table, TENSOR).data, pd.DataFrame)
    array = from_mlflow(table, native(TENSOR)).data
    assert isinstance(array, np.ndarray) and array.dtype == np.float32 and array.tolist() == [[1.5, 2, 3]]
    with pytest.raises(BadRequest, match="column 'c' has values that are outside of float32"):
        from_mlflow(split(["a", "b", "c"], [1.5, 2, 1e300]), TENSOR)
    frame = from_mlflow(split(["rooms", "price"], [2, 3]), native(TYPED)).data
    assert isinstance(frame, pd.DataFrame) and list(frame.columns) == ["price", "rooms"]


def test_a_table_may_be_parquet() -> None:
    written = pd.DataFrame({"price": [1.5], "rooms": [2]}).to_parquet()
    frame = from_mlflow(written, TYPED, "application/vnd.apache.parquet").data
    assert frame.to_dict("list") == {"price": [1.5], "rooms": [2]}
    with pytest.raises(BadRequest, match="the body is no table"):
        from_mlflow(b"price,rooms", TYPED, "application/vnd.apache.parquet")


def test_of_several_unknown_fields_the_first_is_told() -> None:
    for ask in (from_mlflow, from_v2):
        with pytest.raises(BadRequest, match="unknown field 'a'"):
            ask(body({"b": 1, "a": 1, "c": 1}), TYPED)


def test_a_long_reason_is_cut() -> None:
    assert cut("x" * 600) == "x" * 500


def test_tensors_of_a_native_model_have_the_shape_that_it_declares() -> None:
    def ask(*shape: int) -> Any:
        pair = [tensor("ids", "INT32", 5), tensor("image", "FP32", 1, 2, shape=list(shape))]
        return from_v2(body({"inputs": pair}), native(PAIR)).data

    assert ask(1, 2)["image"].shape == (1, 2)
    with pytest.raises(BadRequest, match=r"the tensors do not fit: Shape of input \(2, 1\)"):
        ask(2, 1)


def test_tensors_without_names_are_numbered_and_outputs_may_be_chosen() -> None:
    bare = {"shape": [1], "datatype": "INT8", "data": [7]}
    question = from_v2(body({"inputs": [bare, bare], "outputs": [{"name": "b"}, {"name": "a"}]}), Signature())
    assert (list(question.data), question.wanted) == (["0", "1"], ("b", "a"))
    assert from_v2(body({"inputs": [bare]}), Signature()).data.tolist() == [7]
    wider = signature(TensorSpec(np.dtype("int64"), (-1,)))
    assert from_v2(body({"inputs": [bare]}), wider).data.dtype == np.int64


def test_why_values_do_not_fit_names_the_first_of_them() -> None:
    for values in (np.array([math.inf]), [math.inf], pd.Series([math.inf], dtype=object)):
        assert misfit(values, "int32") == "are no int32, such as inf"
    assert misfit(["a", None, 5], "string") == "are no text (int)"
    assert misfit([[1, 2], [3]], "int32") == "have different lengths"


def test_a_chats_parameters_are_those_that_the_model_declares() -> None:
    warm = signature(ColSpec("string", "messages"), params=ParamSchema([ParamSpec("heat", "double", 0.5)]))
    chat = {"messages": [{"role": "user", "content": "hello"}]}
    question = from_mlflow(body(chat | {"heat": 2.0}), warm)
    assert (question.data, question.params) == (chat, {"heat": 2.0})


def test_what_a_type_hint_describes_is_handed_on_as_it_came() -> None:
    class Hinted:
        def get_input_schema(self) -> Schema:
            return Schema([ColSpec("string")])

        def get_params_schema(self) -> None:
            return None

        def _is_signature_from_type_hint(self) -> bool:
            return True

    given = [{"a": 1}, "b"]
    assert from_mlflow(body({"inputs": given}), Signature(Hinted())).data == given
    with pytest.raises(BadRequest, match="must be a dictionary with 'inputs' key"):
        from_mlflow(body({"dataframe_records": [{"a": 1}]}), Signature(Hinted()))
