"""Whether the service answers what its endpoints declare: every field that is answered, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from submarine_ray.spec.experiment import SHOWN


def checked(app: FastAPI) -> Callable[[httpx.Response], None]:
    """A hook for a client: it fails the test whose answer is not what the endpoint has declared."""
    routes = [route for route in app.routes if isinstance(route, APIRoute) and _is_model(route.response_model)]

    def check(response: httpx.Response) -> None:
        if not (response.is_success and response.headers.get("content-type", "").startswith("application/json")):
            return
        path, method = response.request.url.path, response.request.method
        # As FastAPI chooses: the first that fits.
        route = next((one for one in routes if method in one.methods and one.path_regex.fullmatch(path)), None)
        if route is not None:
            response.read()
            problem = difference(route.response_model, response.content)
            assert problem is None, f"{method} {path}: {problem}"

    return check


def difference(model: type[BaseModel], body: bytes) -> str | None:
    """How a body differs from what `model` says of it; None if it does not."""
    read = model.model_validate_json(body, context=SHOWN)
    if more := sorted(set(_undeclared(read))):
        return f"the answer has fields that nothing declares: {', '.join(more)}"
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    answered = json.loads(body)
    return None if again == answered else f"read and written again it is {again}, and was {answered}"


def _undeclared(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name, inner in value:
            yield from _undeclared(inner, f"{path}.{name}")
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _undeclared(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from _undeclared(inner, path)


def _is_model(declared: object) -> bool:
    return isinstance(declared, type) and issubclass(declared, BaseModel)
