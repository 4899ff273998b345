"""HTTP: /api/v1/serve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.envelope import Reply, done, ok
from submarine_ray.serving.service import ServingService
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.spec.answers.serving import (
    Endpoint,
    EndpointFigures,
    EndpointMetrics,
    EndpointRates,
    EndpointWithEvents,
    Replica,
    Traffic,
    TrafficMetrics,
    TrafficWithEvents,
)
from submarine_ray.spec.base import Version
from submarine_ray.spec.serving import EndpointPatch, ServeSpec, TrafficSpec


def router(serving: ServingService, traffic: TrafficService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/serve", tags=["serve"], route_class=DocumentRoute)

    @routes.get("/ping", summary="Ping the endpoint API")
    def ping() -> Reply[str]:
        return ok("Pong")

    @routes.post("", summary="Serve a model version")
    def create(spec: ServeSpec) -> Reply[Endpoint]:
        return ok(serving.create(spec), "Create a serve instance")

    @routes.get("", summary="List endpoints")
    def list_all() -> Reply[list[Endpoint]]:
        return ok(serving.list_all())

    _add_traffic(routes, traffic)

    @routes.get("/{model_name}/{model_version}", summary="Get an endpoint and its history")
    def get(model_name: str, model_version: Version) -> Reply[EndpointWithEvents]:
        return ok(serving.get(model_name, model_version))

    @routes.patch("/{model_name}/{model_version}", summary="Scale an endpoint")
    def scale(model_name: str, model_version: Version, patch: EndpointPatch) -> Reply[Endpoint]:
        return ok(serving.scale(model_name, model_version, patch))

    @routes.get("/{model_name}/{model_version}/metrics", summary="Get requests, errors and latency of an endpoint")
    async def metrics(model_name: str, model_version: Version) -> Reply[EndpointMetrics]:
        return ok(await serving.ask(serving.metrics, model_name, model_version))

    @routes.get(
        "/{model_name}/{model_version}/figures",
        summary="Get requests, errors and latency of an endpoint under the older name",
        deprecated=True,
    )
    async def figures(model_name: str, model_version: Version) -> Reply[EndpointFigures]:
        found = await serving.ask(serving.metrics, model_name, model_version)
        rates = {name: getattr(found, name) for name in EndpointRates.model_fields}
        return ok(EndpointFigures(**rates, course=found.history, known=found.known))

    @routes.get(
        "/{model_name}/{model_version}/replicas",
        summary="List an endpoint's replicas",
    )
    async def replicas(model_name: str, model_version: Version) -> Reply[list[Replica]]:
        return ok(await serving.ask(serving.replicas, model_name, model_version))

    @routes.get(
        "/{model_name}/{model_version}/replicas/{replica}/log",
        summary="Get the last lines of a replica's log",
    )
    async def replica_log(
        model_name: str, model_version: Version, replica: str, lines: Annotated[int, Query(ge=1, le=10_000)] = 500
    ) -> Reply[str]:
        return ok(await serving.ask(serving.replica_log, model_name, model_version, replica, lines))

    @routes.delete("", summary="Stop serving a model version")
    def delete(spec: ServeSpec) -> Reply[None]:
        serving.delete(spec)
        return done("Delete the model serve instance")

    return routes


def _add_traffic(routes: APIRouter, traffic: TrafficService) -> None:
    """Before the paths of versions, which `traffic` would be taken for."""

    @routes.get("/traffic", summary="List traffic splits")
    def list_traffic() -> Reply[list[Traffic]]:
        return ok(traffic.list_all())

    @routes.get("/{model_name}/traffic", summary="Get the traffic split and its history")
    def get_traffic(model_name: str) -> Reply[TrafficWithEvents]:
        return ok(traffic.get(model_name))

    @routes.get(
        "/{model_name}/traffic/metrics",
        summary="Get requests, errors and latency of a traffic split, and the share of each version",
    )
    async def traffic_metrics(model_name: str) -> Reply[TrafficMetrics]:
        return ok(await traffic.ask_metrics(model_name))

    @routes.put("/{model_name}/traffic", summary="Split traffic between versions")
    def put_traffic(model_name: str, spec: TrafficSpec) -> Reply[Traffic]:
        return ok(traffic.put(model_name, spec))

    @routes.delete("/{model_name}/traffic", summary="End the traffic split")
    def delete_traffic(model_name: str) -> Reply[None]:
        traffic.delete(model_name)
        return done("Only each version's own URL answers now")
