"""What a token opens that is no administrator's: an attempt's its run, a notebook's its user's things, an endpoint's
the version it serves, a ticket one launch.

Stands behind the gate, before everything else. Whatever is not named here is closed.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

from starlette.responses import Response

from submarine_ray.access import mlflow_scope
from submarine_ray.access.asked import Asked, Outside, Unreadable
from submarine_ray.access.mlflow_scope import Own
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.reach import Attempt, Holders, Remembered, Runs
from submarine_ray.core.envelope import error
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.http import App, Receive, Scope, Send
from submarine_ray.core.limits.bodies import DOCUMENT, replayed, with_body

OPEN_PATHS = ("/health", "/ready", "/api/v1/experiment/ping")
_EXPERIMENT = re.compile(r"/api/v1/experiment/(?:logs/|artifacts/)?(?P<id>[^/]+)(?P<rest>/.*)?")
_BATCH = re.compile(r"/api/v1/run/(?P<run>[^/]+)/(?:batch|media)")
_BEGIN = re.compile(r"/api/v1/(?:experiment|notebook)/(?P<id>[^/]+)/begin")
_OF_RUNNERS = re.compile(r"/api/v1/experiment/(?P<id>[^/]+)/(?:begin|provenance|wishes)")
_REGISTRY = re.compile(r"/api/v1/(?:registered-model|model-version)(?:/.*)?")
# What other experiments have logged.
_OF_OTHERS = ("/details", "/lineage")
_PACKAGE = "/api/v1/package/"
_MODEL_VERSION = "/api/v1/model-version"
# Administrators' things; and pages in which a token has no place: browsers bring a session.
_NOT_FOR_NOTEBOOKS = re.compile(r"/(?:ray|notebook|login)(?:/.*)?", re.DOTALL)
_CLUSTERS = re.compile(r"/api/v1/cluster(?:/.*)?", re.DOTALL)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def behind_the_gate(_principal: Principal, _scope: Scope) -> bool:
    """For the gate, which sees no bodies: whoever has a token may come as far as `Scopes`."""
    return True


class Scopes:
    """ASGI middleware: holds the holders of tokens to what is theirs."""

    def __init__(self, app: App, holders: Holders, runs: Runs) -> None:
        self._app = app
        self._holders = Remembered(holders)
        self._runs = runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is None or principal.kind is PrincipalKind.ADMINISTRATOR or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        asked = Asked.of(scope)
        try:
            if scope["type"] == "http" and _reads_body(principal, asked):
                scope, receive = await self._checked_body(principal, asked, scope, receive)
            else:
                await asyncio.to_thread(self._check, principal, asked, scope["type"])
        except SubmarineError as failure:  # whose it is cannot be found out now; that is no refusal
            await error(failure.status, str(failure))(scope, receive, send)
        except Unreadable as failure:
            await error(HTTPStatus.BAD_REQUEST, str(failure))(scope, receive, send)
        except Outside as failure:
            await _refusal(principal, failure, scope)(scope, receive, send)
        except Ended as failure:
            await error(HTTPStatus.UNAUTHORIZED, str(failure))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _checked_body(
        self, principal: Principal, asked: Asked, scope: Scope, receive: Receive
    ) -> tuple[Scope, Receive]:
        """The request with the body that was checked: what the application reads is what was looked at."""
        content = await _read(receive)

        def check() -> bytes:
            asked.read(content)
            self._check(principal, asked, "http")
            # Of our own API the document has been read already, and is looked at by its own names.
            return asked.written() if content and DOCUMENT not in scope else content

        written = await asyncio.to_thread(check)
        return with_body(scope, written), replayed(written, receive)

    def _check(self, principal: Principal, asked: Asked, kind: str) -> None:
        """Raises Outside, Unreadable, Ended."""
        match principal.kind:
            case PrincipalKind.TICKET:
                _ticket(principal, asked)
            case PrincipalKind.NOTEBOOK:
                if not self._holders.notebook(principal.name):
                    raise Ended("The notebook that this token was made for has ended, and the token with it.")
                _notebook(asked, kind)
            case PrincipalKind.ENDPOINT:
                if (served := self._holders.endpoint(principal.name)) is None:
                    raise Ended("The endpoint that this token was made for is gone, and the token with it.")
                mlflow_scope.check_reader(asked, served, self._runs)
            case PrincipalKind.ATTEMPT:
                if (attempt := self._holders.attempt(principal.name)) is None:
                    raise Ended("The attempt that this token was made for has ended, and the token with it.")
                self._attempt(attempt, asked)
            case _:
                raise Outside("")

    def _attempt(self, attempt: Attempt, asked: Asked) -> None:
        own = Own(attempt, self._runs)
        if asked.path.startswith("/mlflow/"):
            mlflow_scope.check(asked, own)
        elif found := _BATCH.fullmatch(asked.path):
            if asked.method not in ("GET", "POST") or not own.has_run(found["run"]):
                raise Outside("the run is not of its experiment")
        elif asked.method == "POST" and (found := _OF_RUNNERS.fullmatch(asked.path)):
            if found["id"] != attempt.experiment_id or asked.said("submission") != [attempt.submission]:
                raise Outside("it asks for itself alone")
        elif asked.path == _MODEL_VERSION and asked.method == "POST":
            if asked.said("experiment_id") != [attempt.experiment_id]:
                raise Outside("it registers what its own experiment has saved, and nothing else")
        elif asked.method != "GET" or not _may_read(attempt, asked.path):
            raise Outside("")


class Ended(Exception):
    """The holder of the token is no longer there."""


def _may_read(attempt: Attempt, path: str) -> bool:
    """Of our own API: its experiment, its code, and what registered models are."""
    if found := _EXPERIMENT.fullmatch(path):
        return found["id"] == attempt.experiment_id
    if path.startswith(_PACKAGE):
        return attempt.package is not None and path == f"{_PACKAGE}{attempt.package}"
    return _REGISTRY.fullmatch(path) is not None and not path.endswith(_OF_OTHERS)


def _ticket(principal: Principal, asked: Asked) -> None:
    found = _BEGIN.fullmatch(asked.path)
    if asked.method != "POST" or found is None or asked.said("submission") != [principal.name]:
        raise Outside("")


def _notebook(asked: Asked, kind: str) -> None:
    if _CLUSTERS.fullmatch(asked.path) and asked.method not in _SAFE_METHODS:
        raise Outside("clusters are administrators' things")
    if kind != "http" or _NOT_FOR_NOTEBOOKS.fullmatch(asked.path):
        raise Outside("pages of notebooks and dashboards open with a sign-in")


def _reads_body(principal: Principal, asked: Asked) -> bool:
    if principal.kind is not PrincipalKind.ATTEMPT:
        return False
    is_version = asked.path == _MODEL_VERSION and asked.method == "POST"
    return is_version or mlflow_scope.reads_body(asked)


_OPENS = {
    PrincipalKind.ATTEMPT: "the run of its own experiment: metrics, parameters, artifacts, models of it; and "
    "registered models, to read. Where an experiment's code shall do more, give it a token by SUBMARINE_TOKEN (and "
    "MLFLOW_TRACKING_TOKEN) among its variables",
    PrincipalKind.NOTEBOOK: "what its user may do, but for clusters, other notebooks' pages and Ray's dashboards",
    PrincipalKind.ENDPOINT: "the model version that it serves, to read",
    PrincipalKind.TICKET: "the launch of one attempt, once",
}


def _refusal(principal: Principal, failure: Outside, scope: Scope) -> Response:
    why = f": {failure}" if str(failure) else ""
    what = f"{scope.get('method', 'GET')} {scope['path'][:200]}"
    return error(
        HTTPStatus.FORBIDDEN,
        f"{what} is not open to this token, which is of the {principal.kind} {principal.name}{why}. "
        f"It opens {_OPENS[principal.kind]}.",
    )


async def _read(receive: Receive) -> bytes:
    """The body; `Bodies`, which stands before, has bounded it and made it plain."""
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)
