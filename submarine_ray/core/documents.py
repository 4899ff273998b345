"""Routes whose bodies are validated in a thread: FastAPI would do it where all other requests wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from submarine_ray.core.limits.bodies import DOCUMENT, Refused
from submarine_ray.core.limits.room import off_the_loop

SAID = 10  # how many of the things that are wrong are told


class _Validated(Request):
    """A request whose body has been read and validated; to FastAPI it is the document."""

    value: Any = None

    async def json(self) -> Any:
        return self.value


class DocumentRoute(APIRoute):
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
