"""HTTP: /api/v1/template, and /api/v1/experiment/{template}."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.known import known_first
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.spec.answers import Experiment, Template
from submarine_ray.spec.templates import TemplateSpec, TemplateSubmission
from submarine_ray.templates.service import TemplateService

One = Envelope[Template]


def router(templates: TemplateService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["template"], route_class=known_first(templates.get))

    @routes.post("/template", response_model=One, summary="Create a template")
    def create(spec: TemplateSpec) -> Response:
        return ok(templates.create(spec))

    @routes.get("/template", response_model=Envelope[list[Template]], summary="List templates")
    def list_page(
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None, cursor: str | None = None
    ) -> Response:
        found, attributes = templates.list_page(limit, cursor)
        return ok(found, attributes=attributes)

    @routes.get("/template/{name}", response_model=One, summary="Get a template")
    def get(name: str) -> Response:
        return ok(templates.get(name))

    @routes.patch("/template/{name}", response_model=One, summary="Replace a template's spec")
    def patch(name: str, spec: TemplateSpec) -> Response:
        return ok(templates.patch(name, spec))

    @routes.delete("/template/{name}", response_model=One, summary="Delete a template")
    def delete(name: str) -> Response:
        return ok(templates.delete(name))

    @routes.post("/experiment/{template}", response_model=Envelope[Experiment], summary="Run a template")
    def submit(template: str, submission: TemplateSubmission) -> Response:
        return ok(templates.submit(template, submission))

    return routes
