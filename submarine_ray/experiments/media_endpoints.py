"""HTTP: /api/v1/experiment/{id}/media, what an experiment logged that is no number."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.paging import MAX_LIMIT, MAX_PAGE
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.answers.base import NumberedPage
from submarine_ray.spec.answers.media import MediaGroup, MediaItem, Wanted
from submarine_ray.spec.spool.media import CONTENT_TYPES, KINDS, MAX_KEY

_INT64 = 2**63
Number = Annotated[int | None, Query(ge=1, le=MAX_PAGE)]
Text = Annotated[str | None, Query(max_length=MAX_KEY)]
Kind = Annotated[str | None, Query(max_length=MAX_KEY, description=f"Only items of this kind: {', '.join(KINDS)}.")]
Key = Annotated[str | None, Query(max_length=MAX_KEY, description="Only items with this key.")]
Step = Annotated[int | None, Query(ge=-_INT64, lt=_INT64)]
# It never changes under its name. A browser that is led to it renders nothing that could run: only what is in
# CONTENT_TYPES has a type of its own, and a page's scripts would find a sandbox.
_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_OPAQUE = "application/octet-stream"


def add(routes: APIRouter, experiments: ExperimentService) -> None:
    """The routes of an experiment's images, tables and the like."""
    results = experiments.results

    @routes.get("/{experiment_id}/media", summary="List images, figures, tables, texts, histograms and audio")
    def items(
        experiment_id: str,
        kind: Kind = None,
        key: Key = None,
        step: Step = None,
        trial: Text = None,
        attempt: Number = None,
        page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
        page_size: Annotated[int, Query(alias="pageSize", ge=1, le=MAX_LIMIT)] = 100,
    ) -> Reply[list[MediaItem]]:
        runs = results.media_runs(experiment_id, attempt, trial)
        found, total = results.media.items(runs, Wanted(kind, key, step), page_size, (page - 1) * page_size)
        return ok(found, attributes=NumberedPage(total=total, page=page, page_size=page_size))

    @routes.get("/{experiment_id}/media/keys", summary="List the keys of images, tables and the like")
    def keys(experiment_id: str, trial: Text = None, attempt: Number = None) -> Reply[list[MediaGroup]]:
        return ok(results.media.groups(results.media_runs(experiment_id, attempt, trial)))

    @routes.get(
        "/{experiment_id}/media/{name}",
        summary="Download an image, a table or the like",
        response_class=FileResponse,
        responses={200: {"content": {kind: {} for kind in (*CONTENT_TYPES.values(), _OPAQUE)}}},
    )
    def content(experiment_id: str, name: str, preview: bool = False) -> Response:
        opened = ExitStack()
        file, header = opened.enter_context(results.media_file(experiment_id, name, preview))
        suffix = "webp" if preview and header.preview else header.suffix
        kind = CONTENT_TYPES.get(suffix, _OPAQUE)
        return FileResponse(
            file,
            filename=f"{header.key.replace('/', '~')}-{header.step}.{suffix}",
            media_type=kind,
            content_disposition_type="attachment" if kind == _OPAQUE else "inline",
            headers=_HEADERS,
            background=BackgroundTask(opened.close),
        )
