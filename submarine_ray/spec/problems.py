"""What validation found wrong in a document, in words for who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SAID = {
    "missing": "is required",
    "extra_forbidden": "is not a known field; remove it or check its spelling",
    "string_type": "must be text; in YAML, put it into quotes",
    "model_attributes_type": "must be an object; send JSON with Content-Type: application/json",
}


def message(item: ErrorDetails) -> str:
    """What is wrong, without where. `item`: one of pydantic's `errors()`."""
    return _SAID.get(item["type"]) or item["msg"].removeprefix("Value error, ")


def sentence(item: ErrorDetails) -> str:
    """Where, what, and what was given."""
    if item["type"] == "json_invalid" and item["loc"]:
        why = item.get("ctx", {}).get("error", item["msg"])
        return f"The body is not valid JSON: {why} at position {item['loc'][-1]}"
    where = ".".join(str(part) for part in item["loc"] if part not in ("body", "query", "path"))
    return f"{where}: {message(item)}" if where else message(item)
