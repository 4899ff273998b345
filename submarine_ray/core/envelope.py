"""Submarine's response envelope: `{status, code, success, message, result, attributes}`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Generic, TypeVar

from fastapi import Response
from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import to_json

from submarine_ray.spec import masks
from submarine_ray.spec.answers.base import Attributes

T = TypeVar("T")
# The charset is part of Submarine's contract: its SDK decodes by it.
JSON = "application/json; charset=utf-8"


class Envelope(BaseModel, Generic[T]):
    """Every successful answer, as the OpenAPI document describes it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str = "OK"
    """Always `OK`."""
    code: int = 200
    """Always 200."""
    success: bool = True
    """Always true."""
    message: str | None = None
    """A sentence, as in Submarine's API, or null."""
    result: T | None = None
    """The requested data."""
    attributes: dict[str, JsonValue] = {}
    """Facts about the result, such as the cursor of the next page."""


class Reply(Response, Generic[T]):
    """An answer whose `result` is a T, written out already. Endpoints declare it: see `core/documents.py`."""


def ok(result: T, message: str | None = None, attributes: Attributes | None = None) -> Reply[T]:
    """A successful answer."""
    return Reply(_body("OK", 200, True, message, result, attributes), media_type=JSON)


def done(message: str | None = None) -> Reply[None]:
    """A successful answer that has nothing to tell but a sentence."""
    return ok(None, message)


def error(status: HTTPStatus, message: str) -> Response:
    """A refusal or failure; `message` is for the user. It may quote what was sent, but no password of a URL."""
    body = _body(status.name, status.value, False, masks.text(message), None, None)
    return Response(body, status_code=status.value, media_type=JSON)


def _body(
    status: str, code: int, success: bool, message: str | None, result: object, attributes: Attributes | None
) -> bytes:
    """The envelope as JSON. The models in it are written in one go: nothing is copied into dictionaries first."""
    body = {
        "status": status,
        "code": code,
        "success": success,
        "message": message,
        "result": result,
        "attributes": attributes or {},
    }
    return to_json(body, by_alias=True, inf_nan_mode="null")
