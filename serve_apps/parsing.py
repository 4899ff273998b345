"""Requests in MLflow's and the Open Inference Protocol's forms, as the model's input.

The forms are read as MLflow's own scoring server reads them, by MLflow's functions. Ours comes before: names and values
that the model does not know, or that would become others on the way, are refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import numpy as np
import orjson

from serve_apps import fitting
from serve_apps.errors import BadRequest
from serve_apps.signature import Signature

V2_TYPES = {
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "INT8": "int8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "BOOL": "bool",
    "BYTES": "object",
}  # fmt: skip
_FIELDS = ("inputs", "instances", "dataframe_split", "dataframe_records")


@dataclass(frozen=True)
class Question:
    """What the model is asked."""

    data: Any
    params: dict[str, Any] | None = None
    is_wrapped: bool = True
    """The answer is `{"predictions": ...}`; for MLflow's chat forms it is the model's own object."""
    id: str | None = None
    wanted: tuple[str, ...] = ()
    """Names of the outputs that the caller wants; none for all."""


def from_mlflow(body: bytes, signature: Signature, content_type: str = "") -> Question:
    """The input of `/invocations`. Raises BadRequest."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("text/csv", "application/vnd.apache.parquet"):
        return Question(_fitted(_table(body, kind, signature), signature), signature.given(None))
    document = _object(body, signature)
    if signature.tensor is None and not signature.is_native and _is_chat(document):
        return _parsed(document, signature)
    unknown = sorted(set(document) - {*_FIELDS, "params"})
    if unknown:
        raise signature.refuse(f"unknown field {unknown[0][:100]!r}; use one of {', '.join(_FIELDS)}")
    given = [field for field in _FIELDS if field in document]
    if len(given) != 1:
        raise signature.refuse(f"give exactly one of {', '.join(_FIELDS)}")
    form, value = given[0], document[given[0]]
    params = signature.given(document.get("params"))
    if form in ("inputs", "instances") and signature.tensor:
        return Question(signature.array(value), params)
    if form in ("inputs", "instances") or signature.is_from_type_hint:
        if not signature.is_from_type_hint:
            _check(value, signature)
        return Question(_parsed(document, signature).data, params)
    return Question(_fitted(_frame(form, value, signature), signature), params)


def _is_chat(document: dict[str, Any]) -> bool:
    """Whether it is one of MLflow's chat forms (messages, prompt, input), which is handed on as it is."""
    from mlflow.pyfunc.utils.serving_data_parser import is_unified_llm_input

    return bool(is_unified_llm_input(document)) and not any(field in document for field in _FIELDS)


def _object(body: bytes, signature: Signature) -> dict[str, Any]:
    if not body.strip():
        raise signature.refuse("the body is empty")
    try:
        document = _json(body, is_exact=signature.tensor is None)
    except (ValueError, RecursionError) as failure:
        raise signature.refuse(f"the body is not JSON ({failure})") from failure
    if not isinstance(document, dict):
        raise signature.refuse("the body is not a JSON object")
    return document


def _json(body: bytes, is_exact: bool) -> Any:
    """orjson is fast; Python's own knows whole numbers of any size, NaN and Infinity."""
    if not is_exact:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return json.loads(body)


@contextmanager
def _refusing(signature: Signature, what: str) -> Iterator[None]:
    """MLflow and pandas raise a variety of exceptions for a form that is wrong."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BadRequest:
        raise
    except MlflowException as failure:
        raise signature.refuse(f"{what}: {cut(failure.message)}") from failure
    except (TypeError, ValueError, LookupError, AttributeError, AssertionError, OverflowError) as failure:
        raise signature.refuse(f"{what}: {cut(str(failure))}") from failure


def cut(text: str) -> str:
    """What is wrong, of MLflow's message, which may begin with all of the data."""
    _, column, rest = text.partition("Failed to convert column ")
    said = column + rest if column else text.rpartition("Error: ")[2]
    return " ".join(said.split())[:500].rstrip(".")


def _parsed(document: dict[str, Any], signature: Signature) -> Question:
    from mlflow.pyfunc.scoring_server import _parse_json_data

    with _refusing(signature, "the input has another form"):
        found = _parse_json_data(document, signature.metadata or _NOTHING, signature.schema)
        data = found.data if found.is_unified_llm_input else enforced(found.data, signature)
    return Question(data, found.params if found.is_unified_llm_input else None, not found.is_unified_llm_input)


class _NOTHING:
    """Stands for the description that a model lacks."""

    @staticmethod
    def _is_signature_from_type_hint() -> bool:
        return False


def enforced(data: Any, signature: Signature) -> Any:
    """The data as a native model takes it; a pyfunc enforces its schema itself."""
    from mlflow.models.utils import _enforce_schema

    if not signature.is_native or signature.schema is None:
        return data
    return _enforce_schema(data, signature.schema)


def _check(value: Any, signature: Signature) -> None:
    """Names and values of `inputs` and `instances`. Raises BadRequest."""
    if signature.specs:
        columns = _columns(value)
        if columns is None and len(signature.specs) == 1:
            columns = {next(iter(signature.specs)): value}
        if columns is None:
            raise signature.refuse("inputs has another form")
        signature.check_names(list(columns))
        for name, values in columns.items():
            signature.check_values(name, values, signature.specs[name])
    elif signature.schema is not None and not isinstance(value, dict):
        signature.check_values(None, value, signature.schema.inputs[0])


def _columns(value: Any) -> dict[str, Any] | None:
    """Columns of `{"a": [...]}` and of `[{"a": ...}, ...]`."""
    if isinstance(value, dict):
        return {name: _listed(values) for name, values in value.items()}
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return None
    names = dict.fromkeys(name for row in value for name in row)
    return {name: [row[name] for row in value if name in row] for name in names}


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _table(body: bytes, kind: str, signature: Signature) -> Any:
    from mlflow.pyfunc.scoring_server import parse_csv_input, parse_parquet_input

    with _refusing(signature, "the body is no table"):
        if kind == "text/csv":
            return parse_csv_input(StringIO(body.decode()), signature.schema)
        return parse_parquet_input(BytesIO(body))


def _frame(form: str, value: Any, signature: Signature) -> Any:
    from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

    with _refusing(signature, f"{form} is no table"):
        return dataframe_from_parsed_json(value, form.removeprefix("dataframe_"), None)


def _fitted(frame: Any, signature: Signature) -> Any:
    """The frame in the model's own types, in its order. Raises BadRequest."""
    from mlflow.utils.proto_json_utils import cast_df_types_according_to_schema

    signature.check_names(list(frame.columns))
    if signature.schema is None:
        return frame
    specs = signature.specs or dict.fromkeys(frame.columns, signature.schema.inputs[0])
    if not signature.schema.is_tensor_spec() and not signature.specs:
        specs = dict(zip(frame.columns, signature.schema.inputs, strict=False))
    for name, spec in specs.items():
        if name in frame:
            signature.check_values(name, _flat(frame[name]), spec)
    if signature.tensor and signature.is_native and all(dtype.kind in "biuf" for dtype in frame.dtypes):
        return signature.array(frame.to_numpy())
    with _refusing(signature, "the table does not fit"):
        return enforced(cast_df_types_according_to_schema(frame, signature.schema), signature)


def _flat(column: Any) -> Any:
    """Cells may be lists, of which a tensor is made."""
    if column.dtype == object and len(column) and isinstance(column.iloc[0], list):
        return column.tolist()
    return column


def from_v2(body: bytes, signature: Signature) -> Question:
    """The input of `/infer`. Raises BadRequest."""
    document = _object(body, signature)
    unknown = sorted(set(document) - {"id", "inputs", "outputs", "parameters"})
    if unknown:
        raise signature.refuse(f"unknown field {unknown[0][:100]!r}")
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or not tensors or not all(isinstance(t, dict) for t in tensors):
        raise signature.refuse("'inputs' must be a list of tensors {name, shape, datatype, data}")
    params = signature.given(document.get("parameters") or None)
    names = [str(tensor.get("name", number)) for number, tensor in enumerate(tensors)]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise signature.refuse(f"tensor {twice[:100]!r} is given twice")
    arrays = {name: _tensor(tensor, signature) for name, tensor in zip(names, tensors, strict=True)}
    wanted = document.get("outputs") or []
    if not isinstance(wanted, list):
        raise signature.refuse("'outputs' must be a list of {name}")
    outputs = tuple(str(one.get("name")) for one in wanted if isinstance(one, dict))
    return Question(_of_tensors(arrays, signature), params, id=document.get("id"), wanted=outputs)


def _of_tensors(arrays: dict[str, np.ndarray[Any, Any]], signature: Signature) -> Any:
    if signature.schema is not None and not signature.schema.is_tensor_spec():
        import pandas as pd

        sizes = {array.size for array in arrays.values()}
        if len(sizes) != 1:
            raise signature.refuse("the tensors have different numbers of rows")
        return _fitted(pd.DataFrame({name: array.reshape(-1) for name, array in arrays.items()}), signature)
    if signature.specs:
        signature.check_names(list(arrays))
        for name, array in arrays.items():
            signature.check_values(name, array, signature.specs[name])
        typed = {name: array.astype(signature.specs[name].type, copy=False) for name, array in arrays.items()}
        with _refusing(signature, "the tensors do not fit"):
            return enforced(typed, signature)
    if signature.schema is None and len(arrays) > 1:
        return arrays
    if len(arrays) != 1:
        raise signature.refuse(f"there are {len(arrays)} tensors")
    (array,) = arrays.values()
    return signature.array(array) if signature.tensor else array


def _tensor(tensor: dict[str, Any], signature: Signature) -> np.ndarray[Any, Any]:
    """A tensor of the request. Its datatype may differ from the model's where that loses nothing."""
    kind = V2_TYPES.get(str(tensor.get("datatype")))
    if kind is None:
        raise signature.refuse(f"unknown datatype {tensor.get('datatype')!r}; use one of {', '.join(V2_TYPES)}")
    if signature.tensor and kind != signature.tensor[0].name and np.dtype(kind).kind != signature.tensor[0].kind:
        raise signature.refuse(f"the tensor's datatype is {tensor['datatype']}")
    if wrong := fitting.misfit(tensor.get("data"), kind if kind != "object" else "any"):
        raise signature.refuse(f"the tensor's values {wrong}")
    try:
        return np.asarray(tensor.get("data"), dtype=kind).reshape(tensor.get("shape"))
    except (TypeError, ValueError, OverflowError) as failure:
        raise signature.refuse(f"data does not fill shape {tensor.get('shape')} with {tensor['datatype']}") from failure
