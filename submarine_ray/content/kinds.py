"""What is shown on content origins: a kind for each feature; `doors.py` lets browsers in and serves programs."""

from __future__ import annotations

import html
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from starlette.responses import Response

from submarine_ray.content.origins import header
from submarine_ray.core.envelope import error
from submarine_ray.core.http import Receive, Scope, Send, is_navigation
from submarine_ray.core.pages import plain
from submarine_ray.spec import masks


@dataclass(frozen=True)
class Visit:
    """How a request has come: from a browser at `origin`, or from a program (`origin` is None) that knows no page.

    `main` is the origin of the service's own pages.
    """

    origin: str | None
    main: str

    @property
    def host(self) -> str | None:
        """The Host that a browser sees."""
        return urlsplit(self.origin).netloc if self.origin else None

    @property
    def scheme(self) -> str:
        return urlsplit(self.origin or "http://").scheme


class ContentKind(Protocol):
    """One kind of content."""

    sandboxed: bool
    """Whether its pages get an opaque origin wherever they share one with others."""

    def find(self, path: str) -> str | None:
        """The path of the object that `path` is in (`/notebook/default/mine`), if it is of this kind."""

    async def arrive(self, scope: Scope) -> Response | None:
        """What a page that is opened on the main origin shows there; None: it is sent on to the content's."""

    async def serve(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        """Answer a request for the object; who sent it may see it."""


def refused(scope: Scope, status: HTTPStatus, message: str, main: str = "") -> Response:
    """Why a request gets no content: a page for a person who opens one, the envelope for a program.

    `main` is the origin of the service's own pages, unless the request has come there.
    """
    if not is_navigation(scope):
        return error(status, message)
    title = "Page not found" if status == HTTPStatus.NOT_FOUND else "Page cannot be shown"
    said, home = html.escape(masks.text(message)), html.escape(f"{main}/")
    return plain(title, f'<p>{said}</p><p><a href="{home}">Open the workbench</a></p>', status)


def is_browser(scope: Scope) -> bool:
    """Whether a request may come from a page: programs send none of these by themselves."""
    names = {key.lower() for key, _ in scope["headers"]}
    marks = any(name.startswith(b"sec-fetch-") for name in names) or names & {b"cookie", b"origin"}
    return bool(marks) or "text/html" in (header(scope, b"accept") or "")
