"""Whether a request is for this service (else DNS rebinding), and from its own pages (else forgery by other sites).

Browsers say where a request comes from, in Origin and in Sec-Fetch-*; programs say nothing of it and need a credential.
An origin is scheme, host and port: another port of this machine is another site here, though cookies do not know it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from http import HTTPStatus

from starlette.responses import HTMLResponse, Response

from submarine_ray.core.envelope import error
from submarine_ray.core.http import Scope, is_navigation
from submarine_ray.core.settings import Settings
from submarine_ray.spec.hosts import PORTS, Served, is_loopback, origin_of

_ANYBODY = ("/health", "/ready")
# Opening one of these starts something: a stopped notebook, TensorBoard, requests to a cluster.
_STARTING = ("/notebook/", "/tensorboard", "/ray/")
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Continue?</title>
<meta name="viewport" content="width=device-width"><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;
max-width:36rem;padding:0 1rem;color:#1f2937}}h1{{font-size:1.4rem}}</style></head><body><h1>Continue to {path}?</h1>
<p>A link on another site led you here, and opening this page may start something.</p>
<p><a href="{target}">Continue</a></p>
</body></html>"""


class Origins:
    """What is ours, by the settings."""

    def __init__(self, settings: Settings) -> None:
        served = served_by(settings)
        self._origins = frozenset(one for one in served if one.scheme)
        self._hosts: dict[str, set[int | None]] = {}
        for one in served:
            self._hosts.setdefault(one.host, set()).add(one.port)

    def refusal(self, scope: Scope) -> Response | None:
        """What a request gets that is not for us, or that another site has a browser send."""
        here = self._host(_values(scope, b"host"))
        if here is None:
            said = ", ".join(_values(scope, b"host"))[:100]
            return error(
                HTTPStatus.FORBIDDEN, f"The host {said!r} is not served here; SUBMARINE_ALLOWED_HOSTS adds one."
            )
        if scope["path"] in _ANYBODY:
            return None
        if any(not self._is_ours(origin, here, scope) for origin in _values(scope, b"origin")):
            return _not_from_here(scope)
        if not self._comes_from_elsewhere(scope, here):
            return None
        if not _is_page(scope):
            return _not_from_here(scope)
        return _question(scope) if scope["path"].startswith(_STARTING) else None

    def is_https(self, scope: Scope) -> bool:
        """Whether the browser that sent a request reaches us by https; a proxy in front may have ended TLS."""
        if scope.get("scheme") == "https" or any(one.startswith("https://") for one in _values(scope, b"origin")):
            return True
        # Who follows a link sends no Origin: then the settings tell how this host is reached.
        here = self._host(_values(scope, b"host"))
        named = {
            one.scheme for one in self._origins if here and one.host == here.host and here.port in (None, one.port)
        }
        return named == {"https"}

    def _host(self, given: list[str]) -> Served | None:
        """The Host header, if it is one of ours."""
        entry = Served.parsed(given[0]) if len(given) == 1 else None
        if entry is None or entry.scheme:
            return None
        ports = self._hosts.get(entry.host, set())
        # Without a port it is that of the scheme, which a proxy in front may hide.
        is_served = None in ports or entry.port in ports or (entry.port is None and not ports.isdisjoint((80, 443)))
        return entry if is_served else None

    def _is_ours(self, origin: str, here: Served, scope: Scope) -> bool:
        entry = Served.parsed(origin)
        if entry is None or entry.scheme is None:
            return False
        if entry in self._origins:
            return True
        port = PORTS[entry.scheme] if here.port is None else here.port
        return entry.host == here.host and entry.port == port and entry.scheme in self._schemes(here.host, scope)

    def _schemes(self, host: str, scope: Scope) -> Iterable[str]:
        if told := {entry.scheme for entry in self._origins if entry.host == host and entry.scheme}:
            return told
        if is_loopback(host):
            return (str(scope.get("scheme", "http")).replace("ws", "http"),)
        return PORTS  # a proxy in front may have ended TLS

    def _comes_from_elsewhere(self, scope: Scope, here: Served) -> bool:
        if sites := _values(scope, b"sec-fetch-site"):
            return any(site not in ("same-origin", "none") for site in sites)
        # Browsers tell nothing to a plain http address; of those that navigate, the page before is known, or is not.
        is_browser = any(agent.startswith("Mozilla/") for agent in _values(scope, b"user-agent"))
        if not (is_browser and is_navigation(scope) and scope["path"].startswith(_STARTING)):
            return False
        before = _values(scope, b"referer")
        return not (before and all(self._is_ours(origin_of(page), here, scope) for page in before))


def served_by(settings: Settings) -> list[Served]:
    """Where this service is reached: on this machine, where it listens, and what SUBMARINE_PUBLIC_URL and
    SUBMARINE_ALLOWED_HOSTS name.
    """
    local = [Served(name) for name in dict.fromkeys(("127.0.0.1", "localhost", "::1", settings.host.lower()))]
    given = [one for text in settings.allowed_hosts if (one := Served.parsed(text))]
    if settings.public_url and (public := Served.parsed(origin_of(settings.public_url))):
        given += [public, Served(public.host)]  # which may be reached directly too, at another port
    return [*local, *given]


def _is_page(scope: Scope) -> bool:
    """Whether a person opens a page of its own, by a link; in a frame it would be at the mercy of what is around it."""
    is_get = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return is_get and is_navigation(scope) and all(dest == "document" for dest in _values(scope, b"sec-fetch-dest"))


def _not_from_here(scope: Scope) -> Response:
    said = ", ".join(_values(scope, b"origin") or ["another site"])[:200]
    return error(
        HTTPStatus.FORBIDDEN,
        f"This request comes from {said!r}, and not from this service's own pages. If that is this service too, "
        "name it in SUBMARINE_PUBLIC_URL or SUBMARINE_ALLOWED_HOSTS, with its scheme and port.",
    )


def _question(scope: Scope) -> Response:
    query = scope.get("query_string", b"").decode("latin-1")
    raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").split("?")[0]
    target = f"/{raw.lstrip('/')}" + (f"?{query}" if query else "")
    page = _PAGE.format(path=html.escape(scope["path"][:200]), target=html.escape(target))
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(page, HTTPStatus.OK, headers)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
