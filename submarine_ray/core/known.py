"""PATCH of something unknown is answered with 404 before the body is validated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.routing import APIRoute

from submarine_ray.core.documents import DocumentRoute


def known_first(get: Callable[[str], object]) -> type[APIRoute]:
    """Routes whose PATCH first asks `get`, which raises NotFound, for what the path names in its one parameter."""

    class KnownFirst(DocumentRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            handle = super().get_route_handler()
            if "PATCH" not in (self.methods or ()) or len(self.param_convertors) != 1:
                return handle

            async def checked(request: Request) -> Response:
                (name,) = request.path_params.values()
                await asyncio.to_thread(get, name)
                return await handle(request)

            return checked

    return KnownFirst
