"""Which addresses are the service's own pages, and which show what users and clusters wrote."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from submarine_ray.access.origins import served_by
from submarine_ray.core.http import Scope
from submarine_ray.core.settings import Settings

SETTING = "SUBMARINE_CONTENT_URL"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as browsers write an origin."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port and parts.port != _DEFAULT_PORTS.get(parts.scheme) else ""
    return f"{parts.scheme}://{_bracketed(parts.hostname or '')}{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def header(scope: Scope, name: bytes) -> str | None:
    """A request's header; None without it."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), None)


class Origins:
    """Tells the two apart, and finds one's address from the other's.

    With `SUBMARINE_CONTENT_URL` content is where that says; a `*` in it stands for a name of each object's own. Without
    it, content is on a second port of whatever name the browser uses.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.content_url
        self._main_port = settings.port
        self.port = settings.content_port or (None if self._url else settings.port + 1)
        served = served_by(settings)
        self._hosts = {one.host for one in served}
        # The most public one first: what the setting names before where this service finds itself.
        named = [origin(f"{one.scheme}://{_bracketed(one.host)}:{one.port}") for one in served if one.scheme]
        self._named = {urlsplit(one).hostname or "": one for one in reversed(named)}
        self._main = named[0] if named else origin(settings.url)
        self._pattern = re.compile(re.escape(origin(self._url or "")).replace(r"\*", "[0-9a-f]{20}"))
        self.is_shared = self._url is not None and origin(self._url) in (origin(settings.url), *named)
        """Whether there is only one origin for everything."""

    @property
    def is_one_each(self) -> bool:
        """Whether each object has an origin that it shares with nobody."""
        return "*" in (self._url or "")

    def is_content(self, scope: Scope) -> bool:
        """Whether a request came to the content's address."""
        if self.is_shared:
            return False
        server = scope.get("server")
        if self.port and server and server[1] == self.port != self._main_port:
            return True
        return self._url is not None and self._pattern.fullmatch(self._said(scope, self._url)) is not None

    def of_content(self, scope: Scope, path: str) -> str | None:
        """The origin of the object at `path`, for a browser that sent `scope`; None where there is none to reach."""
        if self._url is not None:
            return origin(self._url).replace("*", hashlib.sha256(path.encode()).hexdigest()[:20])
        host = self._hostname(scope)
        is_encrypted = self._named.get(host, "").startswith("https:") or scope["scheme"] in ("https", "wss")
        if host not in self._hosts or is_encrypted:
            return None
        return origin(f"http://{_bracketed(host)}:{self.port}")

    def of_main(self, scope: Scope) -> str:
        """The origin of the service's own pages, for a browser that sent `scope` to either."""
        host = self._hostname(scope)
        if host in self._named:
            return self._named[host]
        if self.is_content(scope):
            if self._url is not None or host not in self._hosts:
                return self._main
            return origin(f"http://{_bracketed(host)}:{self._main_port}")
        return origin(f"{scope['scheme'].replace('ws', 'http')}://{header(scope, b'host') or ''}")

    @staticmethod
    def _said(scope: Scope, url: str) -> str:
        try:
            return origin(f"{urlsplit(url).scheme}://{header(scope, b'host') or ''}")
        except ValueError:
            return ""

    @staticmethod
    def _hostname(scope: Scope) -> str:
        try:
            return urlsplit(f"//{header(scope, b'host') or ''}").hostname or ""
        except ValueError:
            return ""
