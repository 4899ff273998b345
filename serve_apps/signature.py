"""What a model takes, from MLflow's description of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from serve_apps import fitting, times
from serve_apps.errors import BadRequest

# MLflow's column types (mlflow/types/schema.py, DataType) that have a numpy type; others are handed on as they come.
COLUMN_TYPES = {
    "double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool", "string": "object",
}  # fmt: skip


@dataclass(frozen=True)
class Signature:
    """What the model takes: one tensor, named tensors, columns, parameters, or nothing declared.

    `metadata` is MLflow's `Model`, the content of the `MLmodel` file; None: nothing is declared.
    """

    metadata: Any = None
    is_native: bool = False
    """The model is called without MLflow's pyfunc, so the schema is enforced here."""

    @cached_property
    def schema(self) -> Any:
        """MLflow's `Schema` of the inputs, or None."""
        return self.metadata.get_input_schema() if self.metadata else None

    @cached_property
    def parameters(self) -> Any:
        """MLflow's `ParamSchema`, or None."""
        return self.metadata.get_params_schema() if self.metadata else None

    @cached_property
    def is_from_type_hint(self) -> bool:
        """MLflow validates such input itself, by the type hint of the model's own function."""
        return bool(self.metadata and self.metadata._is_signature_from_type_hint())

    @cached_property
    def specs(self) -> Mapping[str, Any]:
        """Named columns or tensors."""
        return dict(self.schema.input_dict()) if self.schema and self.schema.has_input_names() else {}

    @cached_property
    def tensor(self) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
        """Type and shape (-1: any size) of the one tensor of numbers that the model takes."""
        if self.schema is None or not self.schema.is_tensor_spec() or self.schema.has_input_names():
            return None
        spec = self.schema.inputs[0]
        return (spec.type, tuple(spec.shape)) if spec.type.kind in "biuf" else None

    @cached_property
    def takes_tensors(self) -> bool:
        """Several tensors of numbers, by their names."""
        return (
            bool(self.specs)
            and self.schema.is_tensor_spec()
            and all(spec.type.kind in "biuf" for spec in self.specs.values())
        )

    def __str__(self) -> str:
        if self.schema is None:
            return "no signature"
        if self.schema.is_tensor_spec() and not self.specs:
            return f"a {_dtype(self.schema.inputs[0])} tensor of shape {_shape(self.schema.inputs[0])}"
        if self.schema.is_tensor_spec():
            return "the tensors " + ", ".join(
                f"{name} ({_dtype(spec)} of shape {_shape(spec)})" for name, spec in self.specs.items()
            )
        if not self.specs:
            return "columns of the types " + ", ".join(_kind(spec.type) for spec in self.schema.inputs)
        return "the columns " + ", ".join(
            f"{name} ({_kind(spec.type)}{'' if spec.required else ', optional'})" for name, spec in self.specs.items()
        )

    def refuse(self, why: str) -> BadRequest:
        return BadRequest(f"{why}; the model {'declares' if self.schema is None else 'expects'} {self}")

    def array(self, values: Any) -> np.ndarray[Any, Any]:
        """`values` as this model's tensor, where nothing is lost by it. Raises BadRequest."""
        if self.tensor is None:
            raise self.refuse("the input is an array")
        wanted, shape = self.tensor
        try:
            raw = np.asarray(values)
        except (ValueError, OverflowError) as failure:
            raise self.refuse("the rows have different lengths") from failure
        if raw.size == 0:
            raise self.refuse("there are no values")
        if wrong := fitting.misfit(raw, wanted.name):
            raise self.refuse(f"the values {wrong}")
        result: np.ndarray[Any, Any] = raw.astype(wanted, copy=False)
        fits = result.ndim == len(shape) and all(
            want in (-1, have) for want, have in zip(shape, result.shape, strict=True)
        )
        if not fits:
            raise self.refuse(f"the input has shape {list(result.shape)}")
        return result

    def check_names(self, given: list[Any]) -> None:
        """Raises BadRequest for columns or tensors that are missing, unknown or given twice."""
        seen: set[Any] = set()
        for name in given:
            if isinstance(name, (list, dict)):
                raise self.refuse(f"the name of a column is a {type(name).__name__}")
            if name in seen:
                raise self.refuse(f"column {name!r} is given twice")
            seen.add(name)
        if not self.specs:
            return
        missing = [name for name, spec in self.specs.items() if spec.required and name not in seen]
        unknown = [name for name in given if name not in self.specs]
        if missing or unknown:
            what = f"column {missing[0]!r} is missing" if missing else f"unknown column {unknown[0]!r}"
            raise self.refuse(what)

    def check_values(self, name: Any, values: Any, spec: Any) -> None:
        """Raises BadRequest for values that would become others in the type that the model declares."""
        called = None if hasattr(spec, "shape") else _kind(spec.type)
        wrong = times.misfit(values) if called == "datetime" else fitting.misfit(values, numpy_name(spec), called)
        if wrong:
            raise self.refuse(f"the values {wrong}" if name is None else f"column {name!r} has values that {wrong}")

    def given(self, params: Any) -> dict[str, Any] | None:
        """The parameters of a request, checked, with defaults for what it leaves out. Raises BadRequest."""
        from mlflow.exceptions import MlflowException
        from mlflow.models.utils import _enforce_params_schema

        if not params and self.parameters is None:
            return None
        if params is not None and not isinstance(params, dict):
            raise BadRequest(f"params is no object; the model takes {self._parameters()}")
        known = {one.name for one in self.parameters.params} if self.parameters else set()
        if unknown := sorted(set(params or {}) - known):
            raise BadRequest(f"unknown parameter {unknown[0][:100]!r}; the model takes {self._parameters()}")
        try:
            found: dict[str, Any] = _enforce_params_schema(params, self.parameters)
        except MlflowException as failure:
            raise BadRequest(f"{_cut(failure.message)}; the model takes {self._parameters()}") from failure
        return found

    def _parameters(self) -> str:
        if not self.parameters:
            return "no parameters"
        return "the parameters " + ", ".join(
            f"{one.name} ({_kind(one.dtype)}, default {one.default!r})" for one in self.parameters.params
        )


def _dtype(spec: Any) -> str:
    return "text" if spec.type.kind in "UO" else str(spec.type.name)


def _shape(spec: Any) -> str:
    return f"{list(spec.shape)}{' (-1: any number of rows)' if -1 in spec.shape else ''}"


def _kind(type_: Any) -> str:
    """A column's type as MLflow writes it: long, or Array(long)."""
    return type_.name if hasattr(type_, "name") else re.sub(r"\s+", " ", str(type_))


def numpy_name(spec: Any) -> str:
    """The name that `fitting` knows: numpy's for numbers, MLflow's for others."""
    if hasattr(spec, "shape"):
        return str(spec.type.name)
    kind = _kind(spec.type)
    return kind if kind in ("string", "binary") else COLUMN_TYPES.get(kind, kind)


def _cut(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:500]
