"""HTTP: /api/v1/environment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.known import known_first
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.spec.answers.environments import Environment
from submarine_ray.spec.environments import EnvironmentPatch, NewEnvironment


def router(environments: EnvironmentService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/environment", tags=["environment"], route_class=known_first(environments.get))

    @routes.post("", summary="Create an environment")
    def create(spec: NewEnvironment) -> Reply[Environment]:
        return ok(environments.create(spec))

    @routes.get("", summary="List environments")
    def list_page(
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None, cursor: str | None = None
    ) -> Reply[list[Environment]]:
        found, attributes = environments.list_page(limit, cursor)
        return ok(found, attributes=attributes)

    @routes.get("/{name}", summary="Get an environment")
    def get(name: str) -> Reply[Environment]:
        return ok(environments.get(name))

    @routes.patch("/{name}", summary="Change an environment")
    def patch(name: str, changes: EnvironmentPatch) -> Reply[Environment]:
        return ok(environments.patch(name, changes))

    @routes.delete("/{name}", summary="Delete an environment")
    def delete(name: str) -> Reply[Environment]:
        return ok(environments.delete(name))

    return routes
