"""Routes whose bodies are validated in a thread: FastAPI validates on the event loop, where other requests wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, get_args, get_origin, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from submarine_ray.core.envelope import Envelope, Reply
from submarine_ray.core.limits.bodies import DOCUMENT, Refused
from submarine_ray.core.limits.room import off_the_loop

SAID = 10  # how many of the things that are wrong are told


class _Validated(Request):
    """A request whose body has been read and validated; to FastAPI it is the document."""

    value: object = None

    async def json(self) -> object:
        return self.value


class ReplyRoute(APIRoute):
    """Knows what `result` is from the endpoint's `-> Reply[...]`, for the OpenAPI document and for tests."""

    def __init__(self, path: str, endpoint: Callable[..., object], **options: Any) -> None:
        declared = get_type_hints(endpoint).get("return")
        if get_origin(declared) is Reply:
            options["response_model"] = Envelope.__class_getitem__(get_args(declared))
        super().__init__(path, endpoint, **options)


class DocumentRoute(ReplyRoute):
    """Takes the body that `core.limits.bodies` has read, and validates it before FastAPI sees it."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()
        field, is_embedded = self.body_field, self._embed_body_fields

        async def validated(request: Request) -> Response:
            document = request.scope.get(DOCUMENT)
            if isinstance(document, Refused):
                return document.answer
            if document is None or field is None or is_embedded:
                return await handle(request)
            found = _Validated(request.scope, request.receive)
            found.value, errors = await off_the_loop(lambda: field.validate(document, {}, loc=("body",)))
            if errors:
                raise RequestValidationError(errors[:SAID])
            return await handle(found)

        return validated
