"""HTTP: /api/v1/template, and /api/v1/experiment/{template}."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.known import known_first
from submarine_ray.core.paging import MAX_LIMIT
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.answers.templates import Template
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.templates import TemplateSpec, TemplateSubmission
from submarine_ray.templates.service import TemplateService


def router(templates: TemplateService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["template"], route_class=known_first(templates.get))

    @routes.post("/template", summary="Create a template")
    def create(spec: TemplateSpec) -> Reply[Template]:
        return ok(templates.create(spec))

    @routes.get("/template", summary="List templates")
    def list_page(
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None, cursor: str | None = None
    ) -> Reply[list[Template]]:
        found, attributes = templates.list_page(limit, cursor)
        return ok(found, attributes=attributes)

    @routes.get("/template/{name}", summary="Get a template")
    def get(name: str) -> Reply[Template]:
        return ok(templates.get(name))

    @routes.patch("/template/{name}", summary="Replace a template's spec")
    def patch(name: str, spec: TemplateSpec) -> Reply[Template]:
        return ok(templates.patch(name, spec))

    @routes.delete("/template/{name}", summary="Delete a template")
    def delete(name: str) -> Reply[Template]:
        return ok(templates.delete(name))

    @routes.post("/template/{name}/preview", summary="Show the experiment that values make of a template")
    def preview(name: str, submission: TemplateSubmission) -> Reply[ExperimentSpec]:
        return ok(templates.preview(name, submission))

    @routes.post("/experiment/{template}", summary="Run a template")
    def submit(template: str, submission: TemplateSubmission) -> Reply[Experiment]:
        return ok(templates.submit(template, submission))

    return routes
