"""HTTP: /api/v1/cluster."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from submarine_ray.access.callers import administrator
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.spec.answers.clusters import Cluster, ClusterCheck
from submarine_ray.spec.clusters import ClusterSpec


def router(clusters: ClusterService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/cluster", tags=["cluster"], route_class=DocumentRoute)
    administrators = [Depends(administrator)]  # a cluster is where the service sends its users' code and secrets

    @routes.post(
        "",
        summary="Register a Ray cluster, or KubeRay on Kubernetes",
        dependencies=administrators,
    )
    def create(spec: ClusterSpec) -> Reply[Cluster]:
        return ok(clusters.create(spec))

    @routes.get("", summary="List clusters")
    def list_all() -> Reply[list[Cluster]]:
        return ok(clusters.list_all())

    @routes.get("/{name}", summary="Get a cluster")
    def get(name: str) -> Reply[Cluster]:
        return ok(clusters.get(name))

    @routes.delete("/{name}", summary="Remove a cluster", dependencies=administrators)
    async def delete(name: str, force: bool = False) -> Reply[Cluster]:
        return ok(await clusters.waiting.ask(name, clusters.delete, name, force))

    @routes.post("/{name}/check", summary="Check a cluster")
    async def check(name: str) -> Reply[list[ClusterCheck]]:
        return ok(await clusters.waiting.ask(name, clusters.check, name))

    return routes
