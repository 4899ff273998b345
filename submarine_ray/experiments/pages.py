"""/artifact/{experiment}/{path} shows an artifact as what it is: a report's page, a picture, a PDF."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from contextlib import ExitStack
from http import HTTPStatus
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from submarine_ray.content.kinds import Visit, refused
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.http import Receive, Scope, Send
from submarine_ray.experiments.service import ExperimentService

_PATH = re.compile(r"/artifact/([A-Za-z0-9._-]{1,100})/(.+)", re.DOTALL)
_ATTEMPT = re.compile(r"(.+?)(?:-r(\d{1,9}))?")
_READING = ("GET", "HEAD")


def address(experiment_id: str, path: str, attempt: int | None = None) -> str:
    """Where an artifact is shown: of the current attempt, or of the one that is named."""
    which = f"{experiment_id}-r{attempt}" if attempt else experiment_id
    return f"/artifact/{quote(which, safe='')}/{quote(path)}"


class ArtifactContent:
    """An experiment's artifacts; their pages may run scripts, which see nothing but the page."""

    sandboxed = True

    def __init__(self, experiments: ExperimentService) -> None:
        self._experiments = experiments

    def find(self, path: str) -> str | None:
        found = _PATH.fullmatch(path)
        return f"/artifact/{found[1]}" if found else None

    async def arrive(self, scope: Scope) -> Response | None:
        """Do nothing: what is missing is reported where it would be shown."""
        return None

    async def serve(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        """See content.kinds.ContentKind."""
        if scope.get("method") not in _READING:
            await error(HTTPStatus.METHOD_NOT_ALLOWED, "Artifacts are only read here.")(scope, receive, send)
            return
        answer = await asyncio.to_thread(self._answer, scope, visit)
        await answer(scope, receive, send)

    def _answer(self, scope: Scope, visit: Visit) -> Response:
        _, _, which, name = scope["path"].split("/", 3)  # as `find` has matched it
        found = _ATTEMPT.fullmatch(which)
        experiment_id, number = found.groups() if found else (which, None)
        opened = ExitStack()
        try:
            file = opened.enter_context(
                self._experiments.results.artifact(experiment_id, name, int(number) if number else None)
            )
        except SubmarineError as failure:
            return refused(scope, failure.status, str(failure), visit.main)
        kind, coding = mimetypes.guess_type(name)
        kind = kind if kind and coding is None else "application/octet-stream"
        return FileResponse(file, media_type=kind, background=BackgroundTask(opened.close))
