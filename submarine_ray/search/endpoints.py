"""HTTP: /api/v1/search, /api/v1/favourite, /api/v1/recent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from submarine_ray.access.callers import caller
from submarine_ray.core.documents import ReplyRoute
from submarine_ray.core.envelope import Reply, done, ok
from submarine_ray.search.service import LIMIT, MOST, SearchService
from submarine_ray.spec.answers.search import Found, Opened
from submarine_ray.spec.places import ObjectKind

LONGEST = 200
Kind = Annotated[ObjectKind, Path(description="experiment, model, endpoint, template or notebook.")]
Key = Annotated[
    str,
    Path(description="An experiment's or a notebook's id, an endpoint's `model/version`, the name of everything else."),
]


def router(search: SearchService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["search"], route_class=ReplyRoute, dependencies=[Depends(caller)])

    @routes.get("/search", summary="Search experiments, models, endpoints and everything else that has a page")
    def find(
        text: Annotated[str, Query(max_length=LONGEST, description="Words or parts of words, in any order.")],
        kind: Annotated[
            list[ObjectKind] | None,
            Query(description="Only this kind; give the parameter several times for several kinds."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST, description="The largest number of results of each kind.")] = LIMIT,
    ) -> Reply[list[Found]]:
        return ok(search.search(text, kind or (), limit))

    @routes.get("/recent", summary="List your favourites, and what you opened last in the workbench")
    def opened() -> Reply[Opened]:
        return ok(search.opened())

    @routes.put("/favourite/{kind}/{key:path}", summary="Add something to your favourites")
    def star(kind: Kind, key: Key) -> Reply[None]:
        search.star(kind, key, wanted=True)
        return done()

    @routes.delete("/favourite/{kind}/{key:path}", summary="Remove something from your favourites")
    def unstar(kind: Kind, key: Key) -> Reply[None]:
        search.star(kind, key, wanted=False)
        return done()

    return routes
