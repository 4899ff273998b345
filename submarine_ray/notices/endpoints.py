"""HTTP: /api/v1/notice."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from submarine_ray.access.callers import caller
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Reply, done, ok
from submarine_ray.notices.service import LIMIT, MOST, NoticeService
from submarine_ray.spec.answers.notices import Notice
from submarine_ray.spec.notices import NoticeSettings

LARGEST = 2**63 - 1


def router(notices: NoticeService) -> APIRouter:
    routes = APIRouter(
        prefix="/api/v1/notice", tags=["notice"], route_class=DocumentRoute, dependencies=[Depends(caller)]
    )

    @routes.get("", summary="List your notifications, newest first")
    def list_page(
        limit: Annotated[int, Query(ge=1, le=MOST, description="The largest number of notifications.")] = LIMIT,
        before: Annotated[
            int | None, Query(ge=1, le=LARGEST, description="Only notifications before this one, by its id.")
        ] = None,
    ) -> Reply[list[Notice]]:
        found, read = notices.list(limit, before)
        return ok(found, attributes=read)

    @routes.post("/read", summary="Mark all your notifications as read")
    def read_all() -> Reply[None]:
        notices.mark_read()
        return done()

    @routes.get("/settings", summary="Get which notifications you receive")
    def settings() -> Reply[NoticeSettings]:
        return ok(notices.settings())

    @routes.put("/settings", summary="Choose which notifications you receive")
    def change_settings(wanted: NoticeSettings) -> Reply[NoticeSettings]:
        return ok(notices.change_settings(wanted))

    @routes.post("/{number}/read", summary="Mark a notification as read")
    def read(number: Annotated[int, Path(ge=1, le=LARGEST, description="The notification's id.")]) -> Reply[None]:
        notices.mark_read(number)
        return done()

    return routes
