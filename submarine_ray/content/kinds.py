"""What is shown on content origins: a kind for each feature; `doors.py` lets browsers in and serves programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.responses import Response

from submarine_ray.content.origins import header
from submarine_ray.core.http import Receive, Scope, Send


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


def is_browser(scope: Scope) -> bool:
    """Whether a request may come from a page: programs send none of these by themselves."""
    names = {key.lower() for key, _ in scope["headers"]}
    marks = any(name.startswith(b"sec-fetch-") for name in names) or names & {b"cookie", b"origin"}
    return bool(marks) or "text/html" in (header(scope, b"accept") or "")
