"""The composition root: the platform's services -> routers -> middleware -> the server."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, Histogram, generate_latest
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.middleware.base import RequestResponseEndpoint

from submarine_ray.access import deletions
from submarine_ray.access import endpoints as access_endpoints
from submarine_ray.access.connections import PeerProtocol
from submarine_ray.access.gate import Gate
from submarine_ray.access.opening import closed
from submarine_ray.access.reach import Holders
from submarine_ray.access.scopes import Scopes, behind_the_gate
from submarine_ray.clusters import endpoints as cluster_endpoints
from submarine_ray.clusters.dashboard import DashboardContent
from submarine_ray.content import listener
from submarine_ray.content.doors import Content, ContentDoor, MainDoor
from submarine_ray.content.exposed import exposed
from submarine_ray.content.origins import Origins
from submarine_ray.content.tickets import Tickets
from submarine_ray.core import logging, networks, openapi, own_places
from submarine_ray.core.errors import Conflict, DatabaseUnavailable
from submarine_ray.core.http import add_error_handlers
from submarine_ray.core.limits.bodies import Bodies
from submarine_ray.core.limits.connections import Connections, possible
from submarine_ray.core.limits.protocol import WEBSOCKET_BYTES, BoundedWebSocket, served
from submarine_ray.core.proxy import Proxy
from submarine_ray.core.settings import Settings, explained
from submarine_ray.environments import endpoints as environment_endpoints
from submarine_ray.experiments import endpoints as experiment_endpoints
from submarine_ray.experiments.pages import ArtifactContent
from submarine_ray.models import endpoints as model_endpoints
from submarine_ray.notebooks import endpoints as notebook_endpoints
from submarine_ray.notebooks.proxy import NotebookContent
from submarine_ray.notices import endpoints as notice_endpoints
from submarine_ray.packages import endpoints as package_endpoints
from submarine_ray.platform import VERSION, Platform
from submarine_ray.saved import endpoints as saved_endpoints
from submarine_ray.search import endpoints as search_endpoints
from submarine_ray.serving import endpoints as serving_endpoints
from submarine_ray.spec.answers.health import ServiceHealth
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.private import NotPrivate
from submarine_ray.templates import endpoints as template_endpoints
from submarine_ray.tracking import endpoints as tracking_endpoints
from submarine_ray.tracking.deletions import MlflowDeletions
from submarine_ray.tracking.intake import Intake
from submarine_ray.tracking.media import MediaService
from submarine_ray.tracking.mlflow_app import TrackingMount
from submarine_ray.tracking.ownership import Ownership
from submarine_ray.tracking.tensorboard import TensorBoardContent
from submarine_ray.workbench import documentation
from submarine_ray.workbench.feed import Feed

log = structlog.get_logger(__name__)

EXPERIMENTS = Gauge("submarine_experiments", "Experiments by state", ["status"])
REQUESTS = Histogram("submarine_request_seconds", "Requests to the API", ["method", "route", "status"])


def build(settings: Settings, workbench: bool = False) -> FastAPI:
    """The application; its background work begins with its lifespan.

    The workbench is for the process's only application: its library keeps one set of pages a process.
    """
    platform = Platform(settings)
    proxy = Proxy()
    feed = Feed(platform.follower, platform.tracking)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        platform.start()
        log.info("service.started", url=settings.url, version=VERSION)
        yield
        await feed.close()
        await proxy.close()
        platform.stop()

    app: FastAPI = FastAPIOffline(
        title="submarine-ray",
        version=VERSION,
        lifespan=lifespan,
        description="Apache Submarine's REST API, on Ray.",
        responses=openapi.REFUSALS,
    )
    openapi.complete(app, settings.token is not None)
    app.state.platform = platform
    add_error_handlers(app)
    for router in (
        experiment_endpoints.router(platform.experiments),
        environment_endpoints.router(platform.environments),
        template_endpoints.router(platform.templates),
        model_endpoints.router(platform.models),
        notebook_endpoints.router(platform.notebooks),
        serving_endpoints.router(platform.serving, platform.traffic),
        cluster_endpoints.router(platform.clusters),
        saved_endpoints.router(platform.saved),
        search_endpoints.router(platform.search),
        notice_endpoints.router(platform.notices),
        access_endpoints.router(platform.sessions, platform.exposure),
        deletions.router(platform.tombstones),
        package_endpoints.router(platform.packages, settings.max_package_bytes),
        tracking_endpoints.router(Intake(platform.tracking), MediaService(platform.tracking)),
    ):
        app.include_router(router)
    _add_operations(app, platform)
    documentation.attach(app)
    if workbench:
        _add_workbench(app, platform, feed)
    app.add_middleware(TrackingMount, loaded=platform.tracking.app, is_decided=lambda: platform.tracking.is_decided)
    app.add_middleware(MlflowDeletions, tombstones=platform.tombstones)
    content = _content(platform, proxy)
    platform.exposure.add(lambda: exposed(content.origins, settings.trust_content))
    platform.exposure.add(lambda: networks.exposed(settings.allow_cluster_networks))
    app.add_middleware(MainDoor, content=content)
    holders = Holders(platform.attempts.find, platform.notebooks.is_wanted, platform.serving.served_by)
    app.add_middleware(Scopes, holders=holders, runs=Ownership(platform.tracking))
    app.add_middleware(Bodies, settings=settings)
    app.add_middleware(
        Gate, settings=settings, tokens=platform.tokens.read, opens=behind_the_gate, sessions=platform.sessions
    )
    app.add_middleware(ContentDoor, content=content, settings=settings, sessions=platform.sessions)
    return app


def _content(platform: Platform, proxy: Proxy) -> Content:
    places = (
        NotebookContent(platform.notebooks, proxy),
        DashboardContent(platform.clusters, proxy),
        TensorBoardContent(platform.tensorboard, proxy),
        ArtifactContent(platform.experiments),
    )
    settings = platform.settings
    return Content(
        places, Origins(settings), Tickets(platform.content_key, platform.sessions.spend), settings.trust_content
    )


def _add_workbench(app: FastAPI, platform: Platform, feed: Feed) -> None:
    # NiceGUI costs half a second to import, and programs that only build the API need none of it.
    from submarine_ray.workbench import mount
    from submarine_ray.workbench.services import Services

    services = Services(
        settings=platform.settings,
        version=VERSION,
        experiments=platform.experiments,
        environments=platform.environments,
        saved=platform.saved,
        templates=platform.templates,
        models=platform.models,
        notebooks=platform.notebooks,
        serving=platform.serving,
        traffic=platform.traffic,
        clusters=platform.clusters,
        admission=platform.admission,
        packages=platform.packages,
        tracking=platform.tracking,
        health=platform.health,
        search=platform.search,
        notices=platform.notices,
    )
    mount.attach(app, services, feed)


def _add_operations(app: FastAPI, platform: Platform) -> None:
    @app.get("/health", tags=["operations"], summary="Get the health of the service")
    async def health() -> ServiceHealth:
        return platform.report(await platform.health.fresh())

    @app.get(
        "/ready", tags=["operations"], summary="Get whether the service is ready",
        responses={503: {"description": "The database cannot be written to, or MLflow is not started yet"}},
    )  # fmt: skip
    async def ready(response: Response) -> ServiceHealth:
        report = await platform.health.fresh()
        if not (report.can_write and platform.tracking.is_ready):
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return platform.report(report)

    @app.get("/metrics", tags=["operations"], summary="Get metrics for Prometheus", response_class=PlainTextResponse)
    def metrics() -> Response:
        try:
            counts = platform.experiments.count_by_state()
        except DatabaseUnavailable:
            counts = {}
        for status in (*ExperimentStatus.SEEN, ExperimentStatus.DELETED):
            EXPERIMENTS.labels(status).set(counts.get(status, 0))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/openapi.json", include_in_schema=False)
    def documented() -> Response:
        return JSONResponse(app.openapi())  # where Submarine has it

    @app.middleware("http")
    async def measure(request: Request, call_next: RequestResponseEndpoint) -> Response:
        begun = time.perf_counter()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "other")
        REQUESTS.labels(request.method, route, response.status_code).observe(time.perf_counter() - begun)
        return response


def main() -> None:
    """`python -m submarine_ray.app`: the control service."""
    try:
        settings = Settings()
    except (ValidationError, SettingsError) as failure:
        sys.exit(f"The control service cannot start: {explained(failure)}")
    logging.configure(settings.log_level, settings.log_json)
    try:
        own_places.secure(settings)
    except (NotPrivate, PermissionError) as failure:
        sys.exit(f"The control service cannot start: {failure}")
    settings = closed(settings)
    try:
        settings, sockets = listener.opened(settings)
    except listener.CannotListen as failure:
        sys.exit(f"The control service cannot start: {failure}")
    try:
        app = build(settings, workbench=True)
    except Conflict as failure:
        sys.exit(f"The control service cannot start: {failure}")
    connections = Connections(possible(settings.max_connections), settings.max_connections_per_peer)
    config = uvicorn.Config(
        app,
        http=served(PeerProtocol, connections),
        ws=served(BoundedWebSocket, connections),
        ws_max_size=WEBSOCKET_BYTES,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    server.run(sockets=sockets)
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
