"""Submarine's response envelope: `{status, code, success, message, result, attributes}`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Generic, TypeVar

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict

from submarine_ray.spec import masks

T = TypeVar("T")


class Envelope(BaseModel, Generic[T]):
    """The shape of every answer, for the OpenAPI document."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str = "OK"
    """`OK`."""
    code: int = 200
    """200."""
    success: bool = True
    """true."""
    message: str | None = None
    """A sentence of Submarine's, or null."""
    result: T | None = None
    """What was asked for."""
    attributes: dict[str, Any] = {}
    """Of pages: how to go on."""


def ok(result: Any = None, message: str | None = None, attributes: dict[str, Any] | None = None) -> Response:
    """A successful answer."""
    return _respond("OK", 200, True, message, result, attributes or {})


def error(status: HTTPStatus, message: str) -> Response:
    """A refusal or failure; `message` is for the user. It may quote what was sent, but no password of a URL."""
    return _respond(status.name, status.value, False, masks.text(message), None, {})


def _respond(
    status: str, code: int, success: bool, message: str | None, result: Any, attributes: dict[str, Any]
) -> Response:
    body = {
        "status": status,
        "code": code,
        "success": success,
        "message": message,
        "result": result,
        "attributes": attributes,
    }
    # The charset is part of Submarine's contract: its SDK decodes by it.
    return Response(orjson.dumps(body), status_code=code, media_type="application/json; charset=utf-8")
