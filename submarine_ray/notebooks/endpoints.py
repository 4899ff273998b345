"""HTTP: /api/v1/notebook."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from submarine_ray.access.callers import caller
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.notebooks.service import NotebookService
from submarine_ray.spec.answers import Event, Notebook
from submarine_ray.spec.ledger import Beginning
from submarine_ray.spec.notebooks import NotebookSpec

One = Envelope[Notebook]


# The id that the published `submarine list notebook` asks for, whoever asks; Submarine's server answers with all.
PUBLISHED_COMMAND = "4291d7da9005377ec9aec4a71ea837f"


def router(notebooks: NotebookService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/notebook", tags=["notebook"], route_class=DocumentRoute)

    @routes.get("/ping", response_model=Envelope[str], summary="Ping the notebook API")
    def ping() -> Response:
        return ok("Pong")

    @routes.post("", response_model=One, summary="Create a notebook")
    def create(spec: NotebookSpec) -> Response:
        return ok(notebooks.create(spec), "Create a notebook instance")

    @routes.get("", response_model=Envelope[list[Notebook]], summary="List notebooks")
    def list_page(
        id: Annotated[str | None, Query(description="whose: an ownerId")] = None,
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None,
        cursor: str | None = None,
    ) -> Response:
        found, attributes = notebooks.list_page(None if id == PUBLISHED_COMMAND else id, limit, cursor)
        return ok(found, "List all notebook instances", attributes)

    @routes.get("/{id}", response_model=One, summary="Get a notebook")
    def get(id: str) -> Response:
        return ok(notebooks.get(id), "Get the notebook instance")

    @routes.delete("/{id}", response_model=One, summary="Delete a notebook; its files stay")
    def delete(id: str) -> Response:
        return ok(notebooks.delete(id), "Delete the notebook instance")

    @routes.post("/{id}/stop", response_model=One, summary="Stop a notebook; it can be started again")
    def stop(id: str) -> Response:
        return ok(notebooks.stop(id))

    @routes.post("/{id}/start", response_model=One, summary="Start a stopped or failed notebook")
    def start(id: str) -> Response:
        return ok(notebooks.start(id))

    @routes.post(
        "/{id}/begin", response_model=Envelope[Beginning], summary="Fetch what a notebook's job runs; for runners"
    )
    def begin(
        id: str,
        submission: Annotated[str, Query(max_length=128)],
        run: Annotated[str, Query(min_length=1, max_length=64)],
        request: Request,
    ) -> Response:
        return ok(notebooks.begin(id, submission, run, caller(request)))

    @routes.get("/{id}/events", response_model=Envelope[list[Event]], summary="List a notebook's events")
    def history(id: str) -> Response:
        return ok(notebooks.history(id))

    return routes
