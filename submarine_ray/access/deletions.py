"""HTTP: /api/v1/deletion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from submarine_ray.access.callers import administrator
from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.documents import ReplyRoute
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.spec.deletions import DeletedKind, Deletion

DEFAULT_LIMIT = 100


def router(tombstones: Tombstones) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/deletion", tags=["operations"], route_class=ReplyRoute)

    @routes.get("", summary="List deletions, with who made them and when")
    def deletions(
        request: Request,
        kind: DeletedKind | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Reply[list[Deletion]]:
        administrator(request)
        found, attributes = tombstones.page(kind, limit, cursor)
        return ok(found, attributes=attributes)

    return routes
