"""Requests and answers in MLflow's and the Open Inference Protocol's forms. Pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

_V2_TYPES = {
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "INT8": "int8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "BOOL": "bool",
    "BYTES": "object",
}  # fmt: skip
_V2_NAMES = {value: key for key, value in _V2_TYPES.items()}
# MLflow's column types (mlflow/types/schema.py, DataType) that have a numpy type; others are handed on as they come.
_COLUMN_TYPES = {
    "double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool", "string": "object",
}  # fmt: skip
_MLFLOW_FIELDS = ("inputs", "instances", "dataframe_split", "dataframe_records")


class BadRequest(Exception):
    """Answered to the caller with `status`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Column:
    """A column of the model's input; `kind` is MLflow's name of its type."""

    name: str
    kind: str = "any"
    required: bool = True

    @property
    def dtype(self) -> str | None:
        """numpy's name of the type, where it has one."""
        return _COLUMN_TYPES.get(self.kind)


@dataclass(frozen=True)
class Signature:
    """What the model takes: one tensor (`dtype`, `shape`, -1 for any size) or named columns, or unknown."""

    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    columns: tuple[Column, ...] | None = None

    @classmethod
    def from_mlmodel(cls, described: dict[str, Any]) -> Signature:
        """From the `MLmodel` file."""
        inputs = json.loads((described.get("signature") or {}).get("inputs") or "[]")
        if len(inputs) == 1 and inputs[0].get("type") == "tensor" and "name" not in inputs[0]:
            spec = inputs[0]["tensor-spec"]
            return cls(dtype=spec["dtype"], shape=tuple(spec["shape"]))
        columns = tuple(
            Column(item["name"], str(item.get("type")), item.get("required", True)) for item in inputs if "name" in item
        )
        return cls(columns=columns or None)

    def __str__(self) -> str:
        if self.shape is not None:
            return f"a {self.dtype} tensor of shape {list(self.shape)} (-1: any number of rows)"
        if not self.columns:
            return "no declared signature"
        return "the columns " + ", ".join(
            f"{c.name} ({c.kind}{'' if c.required else ', optional'})" for c in self.columns
        )

    def array(self, values: Any, dtype: str | None = None) -> np.ndarray[Any, Any]:
        """`values` as this model's tensor. Raises BadRequest."""
        try:
            raw = np.asarray(values)
        except ValueError as failure:
            raise self.refuse("the rows have different lengths") from failure
        if raw.dtype.kind not in "biuf":
            raise self.refuse(f"the values are not numbers ({raw.dtype})")
        if raw.size == 0:
            raise self.refuse("there are no values")
        wanted = self.dtype or dtype
        if wanted and raw.dtype != wanted and raw.dtype.kind == "f" and np.dtype(wanted).kind in "iub":
            raise self.refuse(f"the values are {raw.dtype}")
        result = raw.astype(wanted, copy=False) if wanted else raw
        if self.shape is not None:
            fits = result.ndim == len(self.shape) and all(
                want in (-1, have) for want, have in zip(self.shape, result.shape, strict=True)
            )
            if not fits:
                raise self.refuse(f"the input has shape {list(result.shape)}")
        return result

    def refuse(self, why: str) -> BadRequest:
        return BadRequest(f"{why}; the model expects {self}")


def _object(body: bytes, signature: Signature) -> dict[str, Any]:
    if not body.strip():
        raise signature.refuse("the body is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as failure:
        raise signature.refuse(f"the body is not JSON ({failure})") from failure
    if not isinstance(document, dict):
        raise signature.refuse("the body is not a JSON object")
    return document


def from_mlflow(body: bytes, signature: Signature) -> Any:
    """The input of `/invocations`. Raises BadRequest."""
    document = _object(body, signature)
    unknown = sorted(set(document) - {*_MLFLOW_FIELDS, "params"})
    if unknown:
        raise signature.refuse(f"unknown field {unknown[0]!r}; use one of {', '.join(_MLFLOW_FIELDS)}")
    given = [field for field in _MLFLOW_FIELDS if field in document]
    if len(given) != 1:
        raise signature.refuse(f"give exactly one of {', '.join(_MLFLOW_FIELDS)}")
    value = document[given[0]]
    if given[0] in ("inputs", "instances"):
        return _frame_or_array(value, signature)
    import pandas as pd

    try:
        frame = pd.DataFrame(**value) if given[0] == "dataframe_split" else pd.DataFrame.from_records(value)
    except (TypeError, ValueError, AssertionError) as failure:
        raise signature.refuse(f"{given[0]} is no table ({failure})") from failure
    return _columns(frame, signature)


def _frame_or_array(value: Any, signature: Signature) -> Any:
    if isinstance(value, dict) and signature.columns:
        import pandas as pd

        try:
            return _columns(pd.DataFrame(value), signature)
        except ValueError as failure:
            raise signature.refuse(str(failure)) from failure
    if isinstance(value, dict) or signature.columns:
        raise signature.refuse("inputs has another form")
    return signature.array(value)


def _columns(frame: Any, signature: Signature) -> Any:
    """The frame as the model takes it: its columns, or its values as a tensor."""
    if signature.shape is not None:
        return signature.array(frame.to_numpy())
    if signature.columns:
        known = {column.name for column in signature.columns}
        missing = [c.name for c in signature.columns if c.required and c.name not in frame.columns]
        unknown = [str(name) for name in frame.columns if name not in known]
        if missing or unknown:
            what = f"column {missing[0]!r} is missing" if missing else f"unknown column {unknown[0]!r}"
            raise signature.refuse(what)
        return frame.assign(
            **{c.name: _cast(frame[c.name], c, signature) for c in signature.columns if c.name in frame}
        )
    return frame


def _cast(values: Any, column: Column, signature: Signature) -> Any:
    """A column's values in its own type, where JSON's lose nothing by it: 2 is a double, 2.5 no integer."""
    wanted = column.dtype
    if wanted is None or (_is_text(values) if column.kind == "string" else values.dtype == wanted):
        return values
    fits = values.dtype.kind in "iuf" and np.dtype(wanted).kind in "iuf"
    if fits and np.dtype(wanted).kind in "iu" and values.dtype.kind == "f":
        fits = bool(np.isfinite(values).all() and (values % 1 == 0).all())
    if not fits:
        raise signature.refuse(f"column {column.name!r} has values that are no {column.kind} ({values.dtype})")
    return values.astype(wanted)


def _is_text(values: Any) -> bool:
    from pandas.api.types import is_string_dtype

    return bool(is_string_dtype(values.dropna()))


def from_v2(body: bytes, signature: Signature) -> tuple[Any, str | None]:
    """The input of `/infer`, and the request's id. Raises BadRequest."""
    document = _object(body, signature)
    unknown = sorted(set(document) - {"id", "inputs", "outputs", "parameters"})
    if unknown:
        raise signature.refuse(f"unknown field {unknown[0]!r}")
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or not tensors or not all(isinstance(t, dict) for t in tensors):
        raise signature.refuse("'inputs' must be a list of tensors {name, shape, datatype, data}")
    arrays = {str(t.get("name", i)): _tensor(t, signature) for i, t in enumerate(tensors)}
    if signature.columns:
        import pandas as pd

        return _columns(pd.DataFrame({name: a.reshape(-1) for name, a in arrays.items()}), signature), document.get(
            "id"
        )
    if len(arrays) != 1:
        raise signature.refuse(f"there are {len(arrays)} tensors")
    return signature.array(next(iter(arrays.values()))), document.get("id")


def _tensor(tensor: dict[str, Any], signature: Signature) -> np.ndarray[Any, Any]:
    kind = _V2_TYPES.get(str(tensor.get("datatype")))
    if kind is None:
        raise signature.refuse(f"unknown datatype {tensor.get('datatype')!r}; use one of {', '.join(_V2_TYPES)}")
    if signature.dtype and kind != signature.dtype and np.dtype(kind).kind != np.dtype(signature.dtype).kind:
        raise signature.refuse(f"the tensor's datatype is {tensor['datatype']}")
    try:
        return np.asarray(tensor.get("data"), dtype=kind).reshape(tensor.get("shape"))
    except (TypeError, ValueError, OverflowError) as failure:
        raise signature.refuse(f"data does not fill shape {tensor.get('shape')} with {tensor['datatype']}") from failure


def _checked(output: Any) -> Any:
    if isinstance(output, Exception):
        raise BadRequest(f"the model could not answer: {type(output).__name__}: {str(output)[:500]}")
    return output


def to_mlflow(output: Any) -> dict[str, Any]:
    """MLflow's answer. Raises BadRequest for what the model raised."""
    checked = _checked(output)
    if hasattr(checked, "to_dict"):
        return {"predictions": checked.to_dict(orient="records") if checked.ndim == 2 else checked.tolist()}
    return {"predictions": np.ascontiguousarray(checked) if isinstance(checked, np.ndarray) else checked}


def to_v2(output: Any, name: str, version: str, request_id: str | None) -> dict[str, Any]:
    """The Open Inference Protocol's answer."""
    array = np.asarray(_checked(output))
    tensor = {
        "name": "output-0",
        "shape": list(array.shape),
        "datatype": _V2_NAMES.get(str(array.dtype), "BYTES"),
        "data": array.reshape(-1).tolist(),
    }
    answer: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": [tensor]}
    return answer | ({"id": request_id} if request_id else {})


def metadata(name: str, version: str, signature: Signature, kind: str) -> dict[str, Any]:
    """The Open Inference Protocol's description of the model."""
    inputs = []
    if signature.shape is not None:
        inputs = [
            {
                "name": "input-0",
                "datatype": _V2_NAMES.get(signature.dtype or "", "BYTES"),
                "shape": list(signature.shape),
            }
        ]
    elif signature.columns:
        inputs = [
            {"name": column.name, "datatype": _V2_NAMES.get(column.dtype or "", "BYTES"), "shape": [-1]}
            for column in signature.columns
        ]
    return {"name": name, "versions": [version], "platform": f"mlflow_{kind}", "inputs": inputs, "outputs": []}
