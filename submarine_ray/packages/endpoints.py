"""HTTP: /api/v1/package. Uploads go to the disk as they come, and are looked at there before they have a name."""

from __future__ import annotations

from http import HTTPStatus

from anyio import CapacityLimiter
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from submarine_ray.core import openapi
from submarine_ray.core.documents import ReplyRoute
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.errors import TooLarge
from submarine_ray.core.http import PACKAGE_PATH
from submarine_ray.packages.service import PackageService, too_large
from submarine_ray.spec.answers.clusters import Package

CHECKS_AT_ONCE = 2  # each reads and inflates a whole package


def router(packages: PackageService, limit: int) -> APIRouter:
    routes = APIRouter(prefix=PACKAGE_PATH, tags=["experiment"], route_class=ReplyRoute)
    checks: list[CapacityLimiter] = []

    @routes.put(
        "",
        summary="Upload a zipped directory",
        openapi_extra={"requestBody": openapi.ZIP},
    )
    async def upload(request: Request) -> Reply[Package]:
        if not checks:  # made within the event loop that it belongs to
            checks.append(CapacityLimiter(CHECKS_AT_ONCE))
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said[:20]) > limit:
            raise TooLarge(too_large(limit))
        return ok(Package(url=await packages.receive(request.stream(), limit, checks[0])))

    @routes.get(
        "/{digest}",
        summary="Download an uploaded directory, as its zip",
        response_class=Response,
        responses={HTTPStatus.OK.value: {"content": {"application/zip": {}}}},
    )
    def download(digest: str) -> Response:
        return FileResponse(packages.file(digest), media_type="application/zip")

    return routes
