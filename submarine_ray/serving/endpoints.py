"""HTTP: /api/v1/serve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.serving.service import ServingService
from submarine_ray.spec.answers import Endpoint
from submarine_ray.spec.base import MAX_VERSION
from submarine_ray.spec.serving import ServeSpec

One = Envelope[Endpoint]


def router(serving: ServingService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/serve", tags=["serve"])

    @routes.get("/ping", response_model=Envelope[str], summary="Is this API there?")
    def ping() -> Response:
        return ok("Pong")

    @routes.post("", response_model=One, summary="Serve a model version")
    def create(spec: ServeSpec) -> Response:
        return ok(serving.create(spec), "Create a serve instance")

    @routes.get("", response_model=Envelope[list[Endpoint]], summary="List endpoints")
    def list_all() -> Response:
        return ok(serving.list_all())

    @routes.get("/{model_name}/{model_version}", response_model=One, summary="Get an endpoint and its history")
    def get(model_name: str, model_version: Annotated[int, Path(ge=1, le=MAX_VERSION)]) -> Response:
        return ok(serving.get(model_name, model_version))

    @routes.delete("", response_model=Envelope[None], summary="Stop serving a model version")
    def delete(spec: ServeSpec) -> Response:
        serving.delete(spec)
        return ok(message="Delete the model serve instance")

    return routes
