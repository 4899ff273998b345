"""Tables as `mlflow.log_table` writes them (`{"columns": [...], "data": [[...], ...]}`), and histograms."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from submarine_ray.client.media_arrays import array
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.records import shown

MAX_BINS = 512
MAX_CELLS = 1_000_000


def table(data: Any, columns: Sequence[str] | None) -> JsonObject:
    """Columns and rows. Raises TypeError, ValueError."""
    if callable(to_pandas := getattr(data, "to_pandas", None)):  # polars
        data = to_pandas()
    if hasattr(data, "columns") and callable(getattr(data, "to_json", None)):
        if columns is not None:
            raise ValueError("a DataFrame has columns; leave `columns` out")
        found: JsonObject = json.loads(data.to_json(orient="split", index=False, date_format="iso"))
        return found
    if isinstance(data, Mapping):
        return _of_columns(data)
    if isinstance(data, str | bytes) or not hasattr(data, "__iter__"):
        raise TypeError(f"a {type(data).__name__} is not a table: give a DataFrame, columns or rows")
    rows = list(data)
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        named = [{str(name): value for name, value in row.items()} for row in rows]
        return _checked(names, [[row.get(name) for name in names] for row in named])
    return _of_rows(rows, columns)


def _of_columns(data: Mapping[Any, Any]) -> JsonObject:
    """A dictionary of columns; or of single values, which are one row."""
    is_column = {
        name: hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping) for name, value in data.items()
    }
    if not any(is_column.values()):
        return _checked(list(map(str, data)), [list(data.values())] if data else [])
    if not all(is_column.values()):
        raise ValueError(f"the column {next(n for n, yes in is_column.items() if not yes)!r} is not a list")
    lengths = {str(name): len(column) for name, column in data.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its columns have different lengths: {shown(lengths)}")
    return _checked(list(lengths), [list(row) for row in zip(*data.values(), strict=True)])


def _of_rows(rows: list[Any], columns: Sequence[str] | None) -> JsonObject:
    for number, row in enumerate(rows):
        if not hasattr(row, "__iter__") or isinstance(row, str | bytes | Mapping):
            raise TypeError(f"row {number}, {shown(row)}, is neither a list nor a dictionary as the others")
    listed = [list(row) for row in rows]
    if columns is None:
        if listed:
            raise ValueError("its rows are lists: name their columns with `columns`")
        columns = []
    for number, values in enumerate(listed):
        if len(values) != len(columns):
            raise ValueError(f"row {number} has {len(values)} values for {len(columns)} columns")
    return _checked([str(name) for name in columns], listed)


def _checked(columns: list[str], rows: list[list[Any]]) -> JsonObject:
    if len(set(columns)) < len(columns):
        raise ValueError("two of its columns have one name")
    if len(columns) * len(rows) > MAX_CELLS:
        raise ValueError(f"it has {len(columns) * len(rows):,} cells; at most {MAX_CELLS:,} are kept")
    return {"columns": list(columns), "data": [[_cell(value) for value in row] for row in rows]}


def _cell(value: Any) -> Any:
    """A value as JSON has it; None for NaN, as pandas writes it, and the text of what JSON has not."""
    if callable(item := getattr(value, "item", None)) and math.prod(getattr(value, "shape", ())) == 1:
        value = item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if callable(iso := getattr(value, "isoformat", None)):
        return iso()
    return str(value)


def histogram(values: Any, bins: int) -> JsonObject:
    """Counts between edges, and what describes the values. Raises TypeError, ValueError."""
    import numpy as np

    if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= MAX_BINS:
        raise ValueError(f"bins={bins!r} is not a whole number from 1 to {MAX_BINS}")
    found = array(values).ravel()
    finite = found[np.isfinite(found)] if found.dtype.kind == "f" else found
    if finite.size == 0:
        raise ValueError("none of its values is finite")
    finite = finite.astype(np.float64)
    if not np.isfinite(finite.max() - finite.min()):
        raise ValueError("its values are too far apart for 64-bit floats")
    counts, edges = np.histogram(finite, bins=bins)
    return {
        "edges": [float(f"{edge:.7g}") for edge in edges],
        "counts": counts.tolist(),
        "count": int(finite.size),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "not_finite": int(found.size - finite.size),
    }
