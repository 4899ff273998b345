"""HTTP: /api/v1/registered-model and /api/v1/model-version."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from submarine_ray.core.envelope import Reply, done, ok
from submarine_ray.core.known import known_first
from submarine_ray.models.service import ModelService
from submarine_ray.spec.answers.models import (
    ModelLineage,
    ModelSignature,
    ModelVersion,
    ModelVersionDetails,
    RegisteredModel,
)
from submarine_ray.spec.base import Version
from submarine_ray.spec.models import (
    ModelAliasSpec,
    ModelVersionPatch,
    ModelVersionSpec,
    RegisteredModelPatch,
    RegisteredModelSpec,
)


def router(models: ModelService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["model"], route_class=known_first(models.get))

    @routes.get("/registered-model/ping", summary="Ping the model API")
    def ping_models() -> Reply[str]:
        return ok("Pong")

    @routes.get("/model-version/ping", summary="Ping the model version API")
    def ping_versions() -> Reply[str]:
        return ok("Pong")

    _add_tags(routes, models)
    _add_aliases(routes, models)

    @routes.post("/registered-model", summary="Register a model")
    def create(spec: RegisteredModelSpec) -> Reply[None]:
        models.create(spec)
        return done("Create a registered model instance")

    @routes.get("/registered-model", summary="List registered models")
    def list_all() -> Reply[list[RegisteredModel]]:
        return ok(models.list_all(), "List all registered model instances")

    @routes.get("/registered-model/{name}", summary="Get a registered model")
    def get(name: str) -> Reply[RegisteredModel]:
        return ok(models.get(name), "Get the registered model instance")

    @routes.patch("/registered-model/{name}", summary="Rename or describe a model")
    def patch(name: str, changes: RegisteredModelPatch) -> Reply[None]:
        models.patch(name, changes)
        return done("Update the registered model instance")

    @routes.delete("/registered-model/{name}", summary="Delete a registered model")
    def delete(name: str) -> Reply[None]:
        models.delete(name)
        return done("Delete the registered model instance")

    @routes.get(
        "/model-version/{name}/{version}/signature",
        summary="Get a model version's signature",
    )
    def signature(name: str, version: Version) -> Reply[ModelSignature]:
        return ok(models.signature(name, version))

    @routes.post(
        "/model-version",
        summary="Register a model that an experiment saved",
    )
    def create_version(
        spec: ModelVersionSpec,
        base_dir: Annotated[str | None, Query(alias="baseDir")] = None,
        attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    ) -> Reply[ModelVersion]:
        return ok(models.create_version(spec, base_dir, attempt), "Create a model version instance")

    @routes.patch("/model-version", summary="Change a version's description or stage")
    def patch_version(changes: ModelVersionPatch) -> Reply[None]:
        models.patch_version(changes)
        return done("Update the model version instance")

    @routes.get("/model-version/{name}", summary="List a model's versions")
    def versions(name: str) -> Reply[list[ModelVersion]]:
        return ok(models.versions(name), "List all model version instances")

    @routes.get("/model-version/{name}/{version}", summary="Get a version")
    def version(name: str, version: Version) -> Reply[ModelVersion]:
        return ok(models.version(name, version), "Get the model version instance")

    @routes.get("/model-version/{name}/{version}/details", summary="Get the metrics, parameters and files of a version")
    def details(name: str, version: Version) -> Reply[ModelVersionDetails]:
        (found,) = models.details(name, [models.version(name, version).version])
        return ok(found)

    @routes.get(
        "/model-version/{name}/{version}/lineage", summary="Get where a version comes from and where it is used"
    )
    def lineage(name: str, version: Version) -> Reply[ModelLineage]:
        return ok(models.lineage(name, version))

    @routes.delete("/model-version/{name}/{version}", summary="Delete a version")
    def delete_version(name: str, version: Version) -> Reply[None]:
        models.delete_version(name, version)
        return done("Delete the model version instance")

    return routes


def _add_tags(routes: APIRouter, models: ModelService) -> None:
    """Before the routes whose last part is a model's name: `tag` is none there."""

    @routes.post("/registered-model/tag", summary="Add a tag to a model")
    def add_tag(name: str, tag: str) -> Reply[None]:
        models.tag(name, tag, True)
        return done("Create a registered model tag instance")

    @routes.delete("/registered-model/tag", summary="Remove a tag from a model")
    def remove_tag(name: str, tag: str) -> Reply[None]:
        models.tag(name, tag, False)
        return done("Delete a registered model tag instance")

    @routes.post("/model-version/tag", summary="Add a tag to a version")
    def add_version_tag(name: str, version: Version, tag: str) -> Reply[None]:
        models.tag_version(name, version, tag, True)
        return done("Create a model version tag instance")

    @routes.delete("/model-version/tag", summary="Remove a tag from a version")
    def remove_version_tag(name: str, version: Version, tag: str) -> Reply[None]:
        models.tag_version(name, version, tag, False)
        return done("Delete a model version tag instance")


def _add_aliases(routes: APIRouter, models: ModelService) -> None:
    @routes.get("/registered-model/{name}/alias/{alias}", summary="Get the version that an alias names")
    def get_alias(name: str, alias: str) -> Reply[ModelVersion]:
        return ok(models.version(name, models.aliases.version(name, alias)))

    @routes.put("/registered-model/{name}/alias/{alias}", summary="Set an alias of a version, or move it there")
    def set_alias(name: str, alias: str, spec: ModelAliasSpec) -> Reply[RegisteredModel]:
        models.aliases.set(name, alias, spec.version)
        return ok(models.get(name))

    @routes.delete("/registered-model/{name}/alias/{alias}", summary="Remove an alias")
    def remove_alias(name: str, alias: str) -> Reply[RegisteredModel]:
        models.aliases.remove(name, alias)
        return ok(models.get(name))
