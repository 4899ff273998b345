"""HTTP: /api/v1/environment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.known import known_first
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.spec.answers import Environment
from submarine_ray.spec.environments import EnvironmentPatch, NewEnvironment

One = Envelope[Environment]


def router(environments: EnvironmentService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/environment", tags=["environment"], route_class=known_first(environments.get))

    @routes.post("", response_model=One, summary="Create an environment")
    def create(spec: NewEnvironment) -> Response:
        return ok(environments.create(spec))

    @routes.get("", response_model=Envelope[list[Environment]], summary="List environments")
    def list_page(
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None, cursor: str | None = None
    ) -> Response:
        found, attributes = environments.list_page(limit, cursor)
        return ok(found, attributes=attributes)

    @routes.get("/{name}", response_model=One, summary="Get an environment")
    def get(name: str) -> Response:
        return ok(environments.get(name))

    @routes.patch("/{name}", response_model=One, summary="Change what the body names of an environment")
    def patch(name: str, changes: EnvironmentPatch) -> Response:
        return ok(environments.patch(name, changes))

    @routes.delete("/{name}", response_model=One, summary="Delete an environment")
    def delete(name: str) -> Response:
        return ok(environments.delete(name))

    return routes
