"""Predictions as JSON: as MLflow's own scoring server writes them, and what it cannot write, where JSON can hold it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from serve_apps.errors import BadRequest, ModelFailed
from serve_apps.parsing import V2_TYPES, Question

_V2_NAMES = {value: key for key, value in V2_TYPES.items()}


def to_mlflow(output: Any, question: Question) -> bytes:
    """MLflow's answer. Raises ModelFailed for what JSON cannot hold."""
    if isinstance(output, np.ndarray) and question.is_wrapped and _is_plain(output):
        return orjson.dumps({"predictions": np.ascontiguousarray(output)}, option=orjson.OPT_SERIALIZE_NUMPY)
    from mlflow.utils.proto_json_utils import _get_jsonable_obj

    found = _get_jsonable_obj(output, pandas_orient="records")
    return _dumps({"predictions": found} if question.is_wrapped else found)


def _is_plain(array: np.ndarray[Any, Any]) -> bool:
    """Numbers that orjson writes; it writes null for NaN and infinity, which MLflow writes as they are."""
    if array.dtype.kind not in "biuf" or not array.dtype.isnative or array.ndim == 0 or array.dtype.itemsize > 8:
        return False
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _dumps(document: Any) -> bytes:
    try:
        return json.dumps(document, default=_plainer).encode()
    except (TypeError, ValueError):
        pass  # keys that are no text, or what refers to itself
    try:
        return json.dumps(_texts(document), default=_plainer).encode()
    except (TypeError, ValueError, RecursionError) as failure:
        raise ModelFailed(f"the model's answer cannot be written as JSON: {failure}") from failure


def _plainer(value: Any) -> Any:
    """What `json` cannot write, as what it can. Raises TypeError."""
    from mlflow.utils.proto_json_utils import NumpyEncoder

    if isinstance(value, Decimal):
        return str(value)  # all of its digits; a float would lose some
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of PyTorch
        return value.detach().cpu().tolist()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict(orient="records")
    if hasattr(value, "toarray"):  # a sparse matrix
        return value.toarray().tolist()
    if callable(getattr(value, "numpy", None)):  # a tensor of TensorFlow
        return value.numpy().tolist()
    found, is_converted = NumpyEncoder().try_convert(value)
    if is_converted:
        return found
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"it has a value of type {type(value).__name__}")


def _texts(value: Any) -> Any:
    """The same with keys that JSON has: text."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _key(key): _texts(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts(inner) for inner in value]
    return value


def _key(key: Any) -> str:
    plain = key.item() if isinstance(key, np.generic) else key
    if plain is None or isinstance(plain, (bool, int, float)):
        return json.dumps(plain)
    return plain.isoformat() if hasattr(plain, "isoformat") else str(plain)


def to_v2(output: Any, question: Question, name: str, version: str) -> bytes:
    """The Open Inference Protocol's answer: a tensor for each column or key. Raises BadRequest, ModelFailed."""
    tensors = [_tensor(key, array) for key, array in _outputs(output).items()]
    if question.wanted:
        known = {tensor["name"]: tensor for tensor in tensors}
        if missing := next((one for one in question.wanted if one not in known), None):
            raise BadRequest(f"there is no output {missing[:100]!r}; the model answers {', '.join(known)}")
        tensors = [known[one] for one in question.wanted]
    answer: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": tensors}
    return _dumps(answer | ({"id": question.id} if question.id else {}))


def _outputs(output: Any) -> dict[str, np.ndarray[Any, Any]]:
    if hasattr(output, "columns") and hasattr(output, "to_numpy"):
        return {str(column): output[column].to_numpy() for column in output.columns}
    if isinstance(output, Mapping) and output:
        return {str(key): _array(value) for key, value in output.items()}
    if isinstance(output, tuple):
        return {f"output-{number}": _array(value) for number, value in enumerate(output)}
    return {"output-0": _array(output)}


def _array(value: Any) -> np.ndarray[Any, Any]:
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.array([*value, None], dtype=object)[:-1]


def _tensor(name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    kind = _V2_NAMES.get(array.dtype.name, "BYTES")
    flat = array.reshape(-1).tolist()
    if kind == "BYTES":
        flat = [one if isinstance(one, str) else _text(one) for one in flat]
    return {"name": name, "shape": list(array.shape), "datatype": kind, "data": flat}


def _text(value: Any) -> str:
    """The value as JSON has it: a text without quotes, anything else as it is written."""
    written = _dumps(value).decode()
    return str(json.loads(written)) if written.startswith('"') else written
