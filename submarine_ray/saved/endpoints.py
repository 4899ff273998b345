"""HTTP: /api/v1/saved."""

from __future__ import annotations

from fastapi import APIRouter

from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.saved.service import SavedService
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.saved import NewSaved, SavedPatch


def router(saved: SavedService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/saved", tags=["saved"], route_class=DocumentRoute)

    @routes.get("/{saved_kind}", summary="List saved documents of a kind")
    def list_all(saved_kind: str) -> Reply[list[Saved]]:
        return ok(list(saved.list(saved_kind)))

    @routes.post("/{saved_kind}", summary="Save a document")
    def create(saved_kind: str, new: NewSaved) -> Reply[Saved]:
        return ok(saved.create(saved_kind, new.name, new.document, new.audience))

    @routes.get("/{saved_kind}/{saved_id}", summary="Get a saved document")
    def get(saved_kind: str, saved_id: str) -> Reply[Saved]:
        return ok(saved.get(saved_id, saved_kind))

    @routes.patch("/{saved_kind}/{saved_id}", summary="Change a saved document")
    def change(saved_kind: str, saved_id: str, patch: SavedPatch) -> Reply[Saved]:
        return ok(
            saved.change(saved_id, kind=saved_kind, name=patch.name, document=patch.document, audience=patch.audience)
        )

    @routes.delete("/{saved_kind}/{saved_id}", summary="Delete a saved document")
    def delete(saved_kind: str, saved_id: str) -> Reply[Saved]:
        return ok(saved.delete(saved_id, saved_kind))

    return routes
