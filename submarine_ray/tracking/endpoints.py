"""HTTP: /api/v1/run, where runners send points of metrics."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.errors import Unavailable
from submarine_ray.spec.answers import BatchStored
from submarine_ray.spec.batch import MetricBatch
from submarine_ray.tracking.intake import Intake

# They have threads of their own, and few: a flood of batches delays the other requests by no more than these.
AT_ONCE = 4
WAITING = 64

_SCHEMA = {"$ref": f"#/components/schemas/{MetricBatch.__name__}"}
_BODY = {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}


def router(intake: Intake) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/run", tags=["run"])
    limiter = CapacityLimiter(AT_ONCE)

    async def on_thread(act: Callable[[], int]) -> Response:
        if limiter.statistics().tasks_waiting >= WAITING:
            raise Unavailable("Too many batches wait to be stored; send this one again in a moment.")
        return ok({"sequence": await to_thread.run_sync(act, limiter=limiter)})

    @routes.post(
        "/{run_id}/batch",
        response_model=Envelope[BatchStored],
        summary="Store many points of a run's metrics, once",
        openapi_extra={"requestBody": _BODY},
    )
    async def append(run_id: str, request: Request) -> Response:
        body = await request.body()
        encoding = request.headers.get("content-encoding", "")
        return await on_thread(lambda: intake.take(run_id, body, encoding))

    @routes.get(
        "/{run_id}/batch",
        response_model=Envelope[BatchStored],
        summary="How far a writer's points are stored",
    )
    async def stored(run_id: str, writer: str) -> Response:
        return await on_thread(lambda: intake.stored(run_id, writer))

    return routes
