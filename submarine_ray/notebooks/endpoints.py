"""HTTP: /api/v1/notebook."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from submarine_ray.access.callers import caller
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.notebooks.service import NotebookService
from submarine_ray.spec.answers.events import Event
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.ledger import Beginning
from submarine_ray.spec.notebooks import NotebookSpec

# The id that the published `submarine list notebook` asks for, whoever asks; Submarine's server answers with all.
PUBLISHED_COMMAND = "4291d7da9005377ec9aec4a71ea837f"


def router(notebooks: NotebookService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/notebook", tags=["notebook"], route_class=DocumentRoute)

    @routes.get("/ping", summary="Ping the notebook API")
    def ping() -> Reply[str]:
        return ok("Pong")

    @routes.post("", summary="Create a notebook")
    def create(spec: NotebookSpec) -> Reply[Notebook]:
        return ok(notebooks.create(spec), "Create a notebook instance")

    @routes.get("", summary="List notebooks")
    def list_page(
        id: Annotated[str | None, Query(description="Only notebooks of this owner (their `ownerId`).")] = None,
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None,
        cursor: str | None = None,
    ) -> Reply[list[Notebook]]:
        found, attributes = notebooks.list_page(None if id == PUBLISHED_COMMAND else id, limit, cursor)
        return ok(found, "List all notebook instances", attributes)

    @routes.get("/{id}", summary="Get a notebook")
    def get(id: str) -> Reply[Notebook]:
        return ok(notebooks.get(id), "Get the notebook instance")

    @routes.delete("/{id}", summary="Delete a notebook; its files stay")
    def delete(id: str) -> Reply[Notebook]:
        return ok(notebooks.delete(id), "Delete the notebook instance")

    @routes.post("/{id}/stop", summary="Stop a notebook; it can be started again")
    def stop(id: str) -> Reply[Notebook]:
        return ok(notebooks.stop(id))

    @routes.post("/{id}/start", summary="Start a stopped or failed notebook")
    def start(id: str) -> Reply[Notebook]:
        return ok(notebooks.start(id))

    @routes.post("/{id}/begin", summary="Get the launch of a notebook; for runners")
    def begin(
        id: str,
        submission: Annotated[str, Query(max_length=128)],
        run: Annotated[str, Query(min_length=1, max_length=64)],
        request: Request,
    ) -> Reply[Beginning]:
        return ok(notebooks.begin(id, submission, run, caller(request)))

    @routes.get("/{id}/events", summary="List a notebook's events")
    def history(id: str) -> Reply[list[Event]]:
        return ok(notebooks.history(id))

    return routes
