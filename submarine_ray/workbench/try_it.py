"""A form to ask a model with: fields where its signature has columns, and the request itself beside them."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import Callable

import httpx
from nicegui import ui

from submarine_ray.core.networks import Outgoing
from submarine_ray.core.outgoing import CheckedAsyncTransport, fetched_async
from submarine_ray.spec.answers.models import ModelColumn, ModelSignature
from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.workbench import parts

Field = ui.switch | ui.number | ui.input
Check = Callable[[], Outgoing | None]

TRY_SECONDS = 30.0
MAX_FIELDS = 40
EXAMPLE: JsonObject = {"inputs": [[1.0, 2.0]]}
_NUMBERS = {"double": float, "float": float, "long": int, "integer": int}


def describe(columns: list[ModelColumn]) -> str:
    """A signature's side in words: `age double, sex string` or `float32 [-1, 64]`."""
    return ", ".join(
        " ".join(filter(None, (one.name, one.type, str(one.shape) if one.shape else "", _optional(one))))
        for one in columns
    )


def _optional(column: ModelColumn) -> str:
    return "" if column.required else "(optional)"


def _typed(value: str | float | None, kind: str | None) -> str | float | None:
    number = _NUMBERS.get(kind or "")
    return number(value) if number and value is not None else value


def draw(url: str, signature: ModelSignature | None, outgoing: Check) -> None:
    """The form for the invocations at `url`, reached as `outgoing()` allows; without a signature, only the request."""
    _Form(url, signature or ModelSignature(inputs=[], outputs=[], example=None), outgoing).draw()


class _Form:
    def __init__(self, url: str, signature: ModelSignature, outgoing: Check) -> None:
        self._url = url
        self._outgoing = outgoing
        self._signature = signature
        self._document: JsonObject = signature.example or EXAMPLE
        self._fields: dict[str, tuple[Field, str | None]] = {}

    def draw(self) -> None:
        columns = self._signature.inputs
        with parts.card("Try it"):
            if columns:
                parts.text(f"Inputs: {describe(columns)}", "p", "quiet small anywhere")
            row = self._first_row()
            if row is not None and len(columns) <= MAX_FIELDS:
                with ui.element("div").classes("fields"):
                    for column in columns:
                        self._draw_field(column, row.get(column.name or ""))
            self._body = ui.textarea("Request (JSON)", value=json.dumps(self._document))
            self._body.props("outlined autogrow spellcheck=false").classes("mono")
            with parts.row():
                parts.button("Send", self._send, "send", "main")
                parts.button("Copy as curl", self._copy)
            self._answer = ui.element("div")

    def _first_row(self) -> JsonObject | None:
        """The example's first row by column, if the model takes named columns."""
        columns = self._signature.inputs
        if not columns or any(one.shape is not None or not one.name for one in columns):
            return None
        split, inputs = self._document.get("dataframe_split"), self._document.get("inputs")
        if isinstance(split, dict) and split.get("data"):
            names, data = split.get("columns"), split["data"]
            if isinstance(names, list) and isinstance(data, list) and isinstance(data[0], list):
                return dict(zip(map(str, names), data[0], strict=False))
        if isinstance(inputs, dict):
            return {
                name: values[0] if isinstance(values, list) and values else values for name, values in inputs.items()
            }
        return {}

    def _draw_field(self, column: ModelColumn, value: Json) -> None:
        name, kind = column.name or "", column.type
        if kind == "boolean":
            field: Field = ui.switch(name, value=bool(value))
        elif kind in _NUMBERS:
            field = ui.number(name, value=value if isinstance(value, (int, float)) else None).props(
                "outlined dense debounce=200"
            )
        else:
            field = ui.input(name, value="" if value is None else str(value)).props("outlined dense debounce=200")
        field.on_value_change(self._from_fields)
        self._fields[name] = (field, kind)

    def _from_fields(self) -> None:
        given = {name: _typed(field.value, kind) for name, (field, kind) in self._fields.items()}
        row = {name: [value] for name, value in given.items() if value is not None}
        self._body.set_value(json.dumps({"inputs": row}))

    async def _send(self) -> None:
        parts.field_problem(self._body, None)
        try:
            body = json.loads(self._body.value or "")
        except ValueError as failure:
            parts.field_problem(self._body, f"Invalid JSON: {failure}")
            return
        self._answer.clear()
        try:
            checked = await asyncio.to_thread(self._outgoing)
            begun = time.monotonic()
            async with httpx.AsyncClient(timeout=TRY_SECONDS, transport=CheckedAsyncTransport()) as client:
                answer = await fetched_async(client, "POST", self._url, json=body, extensions={"outgoing": checked})
            took = (time.monotonic() - begun) * 1000
            said, status = answer.text[:100_000], f"{answer.status_code} in {took:.0f} ms"
        except httpx.HTTPError as failure:
            said, status = f"The endpoint is not responding: {failure or type(failure).__name__}", "No response"
        with self._answer:
            parts.text(status, "p", "quiet small").props("role=status")
            parts.block(said, "Response")

    def _copy(self) -> None:
        body, address = shlex.quote(self._body.value or "{}"), shlex.quote(self._url)
        ui.clipboard.write(f"curl -X POST -H 'Content-Type: application/json' -d {body} {address}")
        parts.tell("Copied")
