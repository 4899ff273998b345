"""HTTP: /api/v1/run, where runners send points of metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response

from submarine_ray.access.callers import caller
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.errors import Unavailable
from submarine_ray.spec.answers.media import MediaStored
from submarine_ray.spec.answers.tracking import BatchStored
from submarine_ray.spec.batch import MetricBatch
from submarine_ray.tracking.intake import Intake
from submarine_ray.tracking.media import MediaService

# They have threads of their own, and few: a flood of batches delays the other requests by no more than these.
AT_ONCE = 4
MOST = 68
# Of images and the like, whose bodies are larger: a quarter of a gigabyte in all.
MOST_MEDIA = 10

_SCHEMA = {"$ref": f"#/components/schemas/{MetricBatch.__name__}"}
_BODY = {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}


class Queue:
    """Threads of their own, and a bound of how many requests are here, with their bodies: `most` of all, half of it of
    one attempt.
    """

    most = MOST

    def __init__(self) -> None:
        self._threads = CapacityLimiter(AT_ONCE)
        self._inside = 0
        self._of = Counter[str]()

    @contextmanager
    def place(self, sender: Principal | None = None) -> Iterator[Callable[[Callable[[], int]], Awaitable[int]]]:
        """What runs work on one of the threads; `sender` is whose body it is.

        Raises Unavailable: too many are here, in all or of one attempt.
        """
        whose = sender.name if sender and sender.kind is PrincipalKind.ATTEMPT else ""
        if self._inside >= self.most or (whose and self._of[whose] >= self.most // 2):
            raise Unavailable("Too many batches wait to be stored; send this one again in a moment.")
        self._inside += 1
        self._of[whose] += 1
        try:
            yield lambda work: to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._inside -= 1
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]


class MediaQueue(Queue):
    """The same for bodies that are larger."""

    most = MOST_MEDIA


_ITEMS = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def router(intake: Intake, media: MediaService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/run", tags=["run"])
    queue, media_queue = Queue(), MediaQueue()

    @routes.post(
        "/{run_id}/batch",
        response_model=Envelope[BatchStored],
        summary="Store a batch of a run's metrics",
        openapi_extra={"requestBody": _BODY},
    )
    async def append(run_id: str, request: Request) -> Response:
        encoding = request.headers.get("content-encoding", "")
        with queue.place(caller(request)) as on_thread:
            body = await request.body()
            return ok(BatchStored(sequence=await on_thread(lambda: intake.take(run_id, body, encoding))))

    @routes.get(
        "/{run_id}/batch",
        response_model=Envelope[BatchStored],
        summary="Get the number of a writer's last stored batch",
    )
    async def stored(run_id: str, writer: str) -> Response:
        with queue.place() as on_thread:
            return ok(BatchStored(sequence=await on_thread(lambda: intake.stored(run_id, writer))))

    @routes.post(
        "/{run_id}/media",
        response_model=Envelope[MediaStored],
        summary="Store images, tables, audio and texts of a run; for runners",
        description="Items one after the other: a line of JSON with `kind`, `key`, `step`, `timestamp` (milliseconds "
        "since 1970), `name` (a UUID), `suffix` and `size`, also `caption`, `preview`, `width` and `height`; then "
        "`size` bytes of content and `preview` bytes of a WebP preview. An item that is stored changes nothing.",
        openapi_extra={"requestBody": _ITEMS},
    )
    async def take(run_id: str, request: Request) -> Response:
        with media_queue.place(caller(request)) as on_thread:
            body = await request.body()
            return ok(MediaStored(items=await on_thread(lambda: media.take(run_id, body))))

    return routes
