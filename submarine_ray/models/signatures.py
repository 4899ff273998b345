"""What a model takes and gives, from its `MLmodel` file, and a request that it can answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from pydantic import JsonValue

from submarine_ray.spec import documents
from submarine_ray.spec.answers.models import ModelColumn, ModelSignature

FILE = "MLmodel"
MAX_BYTES = 2**20  # of that file; thousands of columns are some hundred kilobytes
MAX_SAVED = 4 * 2**20  # of the request that was saved beside it
MAX_EXAMPLE = 20_000  # characters; longer ones are no help to a person
_READ = ("signature:", "saved_input_example_info:")
# MLflow's column types (mlflow/types/schema.py, DataType); what is not here is text.
_ZEROS: dict[str, JsonValue] = {
    "double": 0.0, "float": 0.0, "long": 0, "integer": 0, "boolean": False, "datetime": "1970-01-01T00:00:00",
}  # fmt: skip


class NotReadable(ValueError):
    """The model's own files say something that MLflow writes into none; the message is a sentence."""


def read(text: Callable[[str, int], str | None]) -> ModelSignature:
    """What a model's files say. Whoever saved it has written them, so they are read as anybody's input.

    `text` gives one of its files, by its path in the model's directory, with the most bytes that it may have; None if
    it is not there, or larger. Raises NotReadable.
    """
    try:
        content = text(FILE, MAX_BYTES)
        if content is None:
            raise ValueError(f"the file {FILE} is not there, or is larger than {MAX_BYTES} bytes")
        document = documents.load(_sections(content)) or {}
        saved = (document.get("saved_input_example_info") or {}).get("serving_input_path")
        return signature(document.get("signature"), text(str(saved), MAX_SAVED) if saved else None)
    except NotReadable:
        raise
    except (ValueError, AttributeError) as failure:
        raise NotReadable(f"The model's signature or example cannot be read: {str(failure)[:200]}.") from failure


def _sections(mlmodel: str) -> str:
    """The parts of the file that are read here. What else a model has, such as metadata, may refer to other parts."""
    kept, is_read = [], False
    for line in mlmodel.splitlines(keepends=True):
        if not line[:1].isspace():
            is_read = line.startswith(_READ)
        kept += [line] if is_read else []
    return "".join(kept)


def signature(declared: dict[str, str] | None, stored_example: str | None) -> ModelSignature:
    """From what `MLmodel` has as signature, and the request that was saved with it. Raises NotReadable."""
    try:
        inputs, outputs = (_columns((declared or {}).get(side)) for side in ("inputs", "outputs"))
        return ModelSignature(inputs=inputs, outputs=outputs, example=_stored(stored_example) or _made(inputs))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as failure:
        raise NotReadable(f"The model's signature or example cannot be read: {str(failure)[:200]}.") from failure


def _columns(written: str | None) -> list[ModelColumn]:
    return [
        ModelColumn(
            name=column.get("name"),
            type=column["tensor-spec"]["dtype"] if column["type"] == "tensor" else str(column["type"]),
            shape=list(column["tensor-spec"]["shape"]) if column["type"] == "tensor" else None,
            required=bool(column.get("required", True)),
        )
        for column in json.loads(written or "[]")
    ]


def _stored(example: str | None) -> dict[str, JsonValue] | None:
    """The saved request, cut to its first row where that is possible."""
    if example is None:
        return None
    document = json.loads(example)
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("inputs"), list):
        document["inputs"] = document["inputs"][:1]
    elif isinstance(document.get("dataframe_split"), dict):
        document["dataframe_split"]["data"] = document["dataframe_split"]["data"][:1]
    return document if len(json.dumps(document)) <= MAX_EXAMPLE else None


def _made(inputs: list[ModelColumn]) -> dict[str, JsonValue] | None:
    if sum(math.prod(abs(size) for size in one.shape or ()) for one in inputs) > MAX_EXAMPLE:
        return None
    if len(inputs) == 1 and inputs[0].shape is not None and not inputs[0].name:
        return {"inputs": _tensor(inputs[0])}
    named = {one.name: one for one in inputs if one.name}
    if not named or len(named) < len(inputs):
        return None
    if all(one.shape is None for one in inputs):
        return {"inputs": {name: [_ZEROS.get(one.type, "")] for name, one in named.items()}}
    if all(one.shape is not None for one in inputs):
        return {"inputs": {name: _tensor(one) for name, one in named.items()}}
    return None


def _tensor(column: ModelColumn) -> JsonValue:
    """One row of zeros, or of empty texts."""
    dtype = column.type
    zero: JsonValue = 0.0
    if dtype in ("str", "object"):
        zero = ""
    elif dtype == "bool":
        zero = False
    elif "int" in dtype:
        zero = 0
    return _filled([1 if size == -1 else size for size in column.shape or ()], zero)


def _filled(shape: list[int], value: JsonValue) -> JsonValue:
    return [_filled(shape[1:], value)] * shape[0] if shape else value
