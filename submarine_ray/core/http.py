"""The types of ASGI, and how failures are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope, Send

from submarine_ray.core.envelope import error
from submarine_ray.core.errors import SubmarineError, Unavailable
from submarine_ray.spec.problems import sentence

__all__ = ["App", "Message", "Receive", "Scope", "Send", "add_error_handlers", "is_navigation"]
log = structlog.get_logger(__name__)

App = Callable[[Scope, Receive, Send], Awaitable[None]]

PACKAGE_PATH = "/api/v1/package"


def is_navigation(scope: Scope) -> bool:
    """Whether a person opens a page, rather than a program a resource."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = dict(scope["headers"])
    mode = headers.get(b"sec-fetch-mode")
    return mode == b"navigate" if mode else b"text/html" in headers.get(b"accept", b"")


def add_error_handlers(app: FastAPI) -> None:
    """Every failure leaves in the envelope."""

    @app.exception_handler(SubmarineError)
    def ours(_request: Request, failure: SubmarineError) -> Response:
        answer = error(failure.status, str(failure))
        if isinstance(failure, Unavailable):
            answer.headers["Retry-After"] = str(failure.retry_after)
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, failure: RequestValidationError) -> Response:
        return error(HTTPStatus.BAD_REQUEST, "; ".join(sentence(item) for item in failure.errors()[:10]))

    @app.exception_handler(HTTPException)
    def http(request: Request, failure: HTTPException) -> Response:
        status = HTTPStatus(failure.status_code)
        texts = {
            HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path[:200]}; /docs lists the API.",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at {request.url.path[:200]}; see /docs.",
        }
        answer = error(status, texts.get(status, str(failure.detail)))
        answer.headers.update(failure.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = ", ".join(_allowed(request))
        return answer

    @app.exception_handler(Exception)
    def bug(request: Request, failure: Exception) -> Response:
        log.error("request.failed", method=request.method, path=request.url.path, exc_info=failure)
        return error(HTTPStatus.INTERNAL_SERVER_ERROR, "The service met an error of its own; its log has the details.")


def _allowed(request: Request) -> list[str]:
    """The methods that a path has; Starlette tells those of the first route alone."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    here = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.url.path)]
    return sorted({method.upper() for methods in here for method in methods})
