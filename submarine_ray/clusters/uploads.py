"""HTTP: /api/v1/package. Uploads go to the disk as they come, and are looked at there before they have a name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.requests import ClientDisconnect

from submarine_ray.clusters.drivers.packages import PackageStore
from submarine_ray.core import openapi
from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.errors import InvalidSpec, TooLarge
from submarine_ray.core.http import PACKAGE_PATH
from submarine_ray.spec.answers import Package

PIECE = 2**20
CHECKS_AT_ONCE = 2  # each reads and inflates a whole package


def router(packages: PackageStore, limit: int) -> APIRouter:
    routes = APIRouter(prefix=PACKAGE_PATH, tags=["experiment"])
    checks: list[CapacityLimiter] = []

    @routes.put(
        "",
        response_model=Envelope[Package],
        summary="Upload a zipped directory",
        openapi_extra={"requestBody": openapi.ZIP},
    )
    async def upload(request: Request) -> Response:
        if not checks:  # made within the event loop that it belongs to
            checks.append(CapacityLimiter(CHECKS_AT_ONCE))
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said[:20]) > limit:
            raise TooLarge(_too_large(limit))
        return ok({"url": await receive(packages, request.stream(), limit, checks[0])})

    @routes.get(
        "/{digest}",
        summary="Download an uploaded directory, as its zip",
        response_class=Response,
        responses={HTTPStatus.OK.value: {"content": {"application/zip": {}}}},
    )
    def download(digest: str) -> Response:
        return FileResponse(packages.file(digest), media_type="application/zip")

    return routes


async def receive(packages: PackageStore, pieces: AsyncIterator[bytes], limit: int, checks: CapacityLimiter) -> str:
    """Store what comes, at most `limit` bytes; its URL.

    Raises TooLarge, InvalidSpec, Unavailable; whatever it raises, nothing of the upload stays.
    """
    with packages.incoming() as incoming:
        waiting = bytearray()
        try:
            async for piece in pieces:
                waiting += piece
                if incoming.size + len(waiting) > limit:
                    raise TooLarge(_too_large(limit))
                if len(waiting) >= PIECE:
                    await to_thread.run_sync(incoming.write, bytes(waiting))
                    waiting.clear()
        except ClientDisconnect as failure:
            raise InvalidSpec("the upload ended before the whole body had come") from failure
        await to_thread.run_sync(incoming.write, bytes(waiting))
        return await to_thread.run_sync(packages.keep, incoming, limiter=checks)


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit} bytes, which SUBMARINE_MAX_PACKAGE_BYTES sets."
