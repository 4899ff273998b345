"""HTTP: /api/v1/run, where runners send points of metrics."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.errors import Unavailable
from submarine_ray.spec.answers import BatchStored
from submarine_ray.spec.points import MAX_KEYS, MAX_POINTS
from submarine_ray.tracking.intake import Intake

# They have threads of their own, and few: a flood of batches delays the other requests by no more than these.
AT_ONCE = 4
WAITING = 64

_WHOLE = {"type": "integer", "format": "int64"}
_BODY = {
    "required": True,
    "description": "May be compressed, as `Content-Encoding` tells: gzip or deflate.",
    "content": {
        "application/json": {
            "schema": {
                "title": "Batch",
                "type": "object",
                "additionalProperties": False,
                "required": ["writer", "sequence", "keys", "key", "step", "timestamp", "value"],
                "properties": {
                    "writer": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_.-]{1,64}$",
                        "description": "Who numbers the batches: one for each process that sends.",
                    },
                    "sequence": {
                        **_WHOLE,
                        "minimum": 1,
                        "description": "Grows from batch to batch. Up to the greatest that is stored, nothing is done.",
                    },
                    "after": {
                        "type": ["integer", "null"],
                        "format": "int64",
                        "minimum": 0,
                        "description": "The sequence number that must be stored already, so that nothing is left out.",
                    },
                    "keys": {
                        "type": "array",
                        "items": {"type": "string", "minLength": 1, "maxLength": 250},
                        "maxItems": MAX_KEYS,
                        "description": "The metrics' names, each once.",
                    },
                    "key": {
                        "type": "array",
                        "items": {"type": "integer", "minimum": 0},
                        "maxItems": MAX_POINTS,
                        "description": "Of each point, its metric's place in keys.",
                    },
                    "step": {"type": "array", "items": _WHOLE, "description": "Of each point, the training step."},
                    "timestamp": {
                        "type": "array",
                        "items": {**_WHOLE, "minimum": 0},
                        "description": "Of each point, milliseconds since 1970.",
                    },
                    "value": {
                        "type": "array",
                        "items": {
                            "anyOf": [
                                {"type": "number"},
                                {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
                            ]
                        },
                        "description": "Of each point, its value.",
                    },
                },
            }
        }
    },
}


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
