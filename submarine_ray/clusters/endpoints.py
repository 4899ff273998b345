"""HTTP: /api/v1/cluster."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from submarine_ray.access.callers import administrator
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.spec.answers.clusters import Cluster, ClusterCheck
from submarine_ray.spec.clusters import ClusterSpec


def router(clusters: ClusterService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/cluster", tags=["cluster"], route_class=DocumentRoute)
    administrators = [Depends(administrator)]  # a cluster is where the service sends its users' code and secrets

    @routes.post(
        "",
        response_model=Envelope[Cluster],
        summary="Register a Ray cluster, or KubeRay on Kubernetes",
        dependencies=administrators,
    )
    def create(spec: ClusterSpec) -> Response:
        return ok(clusters.create(spec))

    @routes.get("", response_model=Envelope[list[Cluster]], summary="List clusters")
    def list_all() -> Response:
        return ok(clusters.list_all())

    @routes.get("/{name}", response_model=Envelope[Cluster], summary="Get a cluster")
    def get(name: str) -> Response:
        return ok(clusters.get(name))

    @routes.delete("/{name}", response_model=Envelope[Cluster], summary="Remove a cluster", dependencies=administrators)
    async def delete(name: str, force: bool = False) -> Response:
        return ok(await clusters.waiting.ask(name, clusters.delete, name, force))

    @routes.post("/{name}/check", response_model=Envelope[list[ClusterCheck]], summary="Check a cluster")
    async def check(name: str) -> Response:
        return ok(await clusters.waiting.ask(name, clusters.check, name))

    return routes
