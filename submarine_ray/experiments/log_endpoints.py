"""HTTP: the logs of experiments."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from submarine_ray.core.envelope import JSON, Envelope, Reply, ok
from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.core.paging import MAX_PAGE
from submarine_ray.experiments import find, log_lines, log_parts, logs
from submarine_ray.experiments.log_parts import MOST_LINES, Window
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.answers.experiments import ExperimentLog
from submarine_ray.spec.answers.logs import LogMatches, LogWindow

MAX_LENGTH = 1000  # of a text to find
Tail = Annotated[int | None, Query(ge=1, le=MOST_LINES)]
Number = Annotated[int | None, Query(ge=1, le=MAX_PAGE)]
Known = Annotated[int | None, Query(ge=0, le=MAX_PAGE)]
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
ASCII = re.compile(r"[^A-Za-z0-9_-]")


def add(routes: APIRouter, experiments: ExperimentService) -> None:
    """Add the routes to those of experiments."""
    _add_documents(routes, experiments)
    _add_lines(routes, experiments)
    _add_stream(routes, experiments)


def _add_documents(routes: APIRouter, experiments: ExperimentService) -> None:
    @routes.get("/logs", summary="List the logs of experiments")
    def log_names(status: str | None = None) -> Reply[list[ExperimentLog]]:
        return ok(experiments.log_names(status))

    @routes.get(
        "/logs/{experiment_id}",
        response_model=Envelope[ExperimentLog],
        summary="Get the log of each replica",
        description="All of it, or a page of each replica's lines: `limit` from `offset` on, or the last `tail`; then "
        "the attribute `lines` says how many there are.",
    )
    async def log(
        experiment_id: str,
        replica: str | None = None,
        offset: Annotated[int, Query(ge=0, le=MAX_PAGE)] = 0,
        limit: Annotated[int | None, Query(ge=1, le=MOST_LINES)] = None,
        tail: Tail = None,
        attempt: Number = None,
    ) -> Response:
        parts = log_parts.replicas(await experiments.logs.parts(experiment_id, attempt), replica)
        window = Window(offset, limit, tail)
        return StreamingResponse(log_parts.answer(experiment_id, parts, window), media_type=JSON)

    @routes.get(
        "/logs/{experiment_id}/text",
        summary="Download the log as text",
        description="All lines in the order in which they were written, each behind its replica's name and its time; "
        "or one replica's lines as it wrote them.",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def download(experiment_id: str, replica: str | None = None, attempt: Number = None) -> StreamingResponse:
        log = await experiments.logs.log(experiment_id, attempt)
        headers = {"Content-Disposition": f'attachment; filename="{ASCII.sub("_", experiment_id)}.txt"', **NO_SNIFFING}
        parts = [part for part in log.parts if logs.is_of(replica, part.name)]
        text = log_parts.plain(parts) if len(parts) == 1 and replica else log_lines.plain(log, replica)
        return StreamingResponse(text, media_type="text/plain", headers=headers)


def _add_lines(routes: APIRouter, experiments: ExperimentService) -> None:
    @routes.get(
        "/logs/{experiment_id}/lines",
        summary="Read lines of the log in the order in which they were written",
        description="`limit` lines of all replicas, or of one, from `offset` on, or the last with `last=true`.",
    )
    async def lines(
        experiment_id: str,
        replica: str | None = None,
        offset: Annotated[int, Query(ge=0, le=MAX_PAGE, description="The number of lines to skip.")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_LINES, description="The largest number of lines.")] = 500,
        last: bool = False,
        known: Known = None,
        attempt: Number = None,
    ) -> Reply[LogWindow]:
        log = await experiments.logs.log(experiment_id, attempt, known)
        return ok(await to_thread.run_sync(log_lines.window, log, replica, offset, limit, last))

    @routes.get(
        "/logs/{experiment_id}/matches",
        summary="Find a text, or errors, in the log",
        description="The numbers of the lines that have `text` in lower or upper case, or that report an error, as "
        "`/lines` counts them.",
    )
    async def matches(
        experiment_id: str,
        text: Annotated[str, Query(max_length=MAX_LENGTH)] = "",
        errors: bool = False,
        replica: str | None = None,
        known: Known = None,
        attempt: Number = None,
    ) -> Reply[LogMatches]:
        if bool(text) == errors:
            raise InvalidSpec("give a text to find, or errors=true", "text")
        log = await experiments.logs.log(experiment_id, attempt, known)
        search = find.ERRORS if errors else find.text(text)
        return ok(await to_thread.run_sync(log_lines.matches, log, replica, search))


def _add_stream(routes: APIRouter, experiments: ExperimentService) -> None:
    @routes.get(
        "/logs/{experiment_id}/stream",
        summary="Follow the log, as JSON lines {replica, line, time}",
        description="From the beginning, or from the last `tail` lines of each replica, until the experiment ends; "
        "with `follow=false`, or of an earlier attempt, what there is now, one replica after the other. With `after`, "
        "the lines of the current attempt as `/lines` counts them, without the first `after`, until it ends or its "
        "cluster does not answer. `time`, in milliseconds since 1970, is there where it is known. A line that ends "
        "with a carriage return is not finished, such as a progress bar as it is now: the next line of the same "
        "replica takes its place.",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}}}},
    )
    async def stream(
        experiment_id: str,
        replica: str | None = None,
        tail: Tail = None,
        follow: bool = True,
        after: Known = None,
        known: Known = None,
        attempt: Number = None,
    ) -> StreamingResponse:
        kind = "application/x-ndjson"
        now = await to_thread.run_sync(experiments.get, experiment_id)  # an unknown id is a 404, not an empty stream
        if not follow or attempt not in (None, now.attempt):
            found = await experiments.logs.parts(experiment_id, attempt)
            parts = [part for part in found if logs.is_of(replica, part.name)]
            return StreamingResponse(log_parts.records(parts, Window(tail=tail)), media_type=kind)

        async def encode() -> AsyncIterator[bytes]:
            try:
                told = (
                    experiments.logs.stream(experiment_id, replica, tail)
                    if after is None
                    else experiments.logs.follow(experiment_id, replica, after, known)
                )
                async for lines in told:
                    yield log_parts.encoded(lines)
            except NotFound:
                return  # deleted while it was followed

        return StreamingResponse(encode(), media_type=kind)
