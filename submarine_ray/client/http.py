"""The control service over HTTP: one place for its address, token, timeouts and errors."""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any, BinaryIO, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, stop_after_delay, wait_exponential_jitter

from submarine_ray.client.errors import ApiError, ServiceUnreachable
from submarine_ray.spec.home import DEFAULT_PORT, Home
from submarine_ray.spec.hosts import is_loopback

TIMEOUT = httpx.Timeout(30, connect=5)
UPLOAD_TIMEOUT = httpx.Timeout(300, connect=5)
PATIENCE_SECONDS = 5.0
ASYNC_THREADS = 8
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT"})

Result = TypeVar("Result")


def default_host() -> str:
    """`SUBMARINE_URL`, else Submarine's own two variables, else this machine."""
    if url := os.environ.get("SUBMARINE_URL"):
        return url.rstrip("/")
    name, port = os.environ.get("SUBMARINE_SERVER_DNS_NAME"), os.environ.get("SUBMARINE_SERVER_PORT")
    return f"http://{name or '127.0.0.1'}:{port or os.environ.get('SUBMARINE_PORT', DEFAULT_PORT)}"


def own_token(host: str) -> str | None:
    """`SUBMARINE_TOKEN`; else, of a service on this machine, what it has left for its own user."""
    if token := os.environ.get("SUBMARINE_TOKEN"):
        return token.strip()
    file = Home.from_env().token
    try:
        if not is_loopback(httpx.URL(host).host) or file.stat().st_uid != os.geteuid():
            return None
        return file.read_text().strip()
    except OSError:
        return None


class Service:
    """Calls the REST API and opens its envelope.

    What cannot have reached the service is tried again for `patience` seconds, and so is a broken question that changes
    nothing: the service may just be restarting.
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.host = (host or default_host()).rstrip("/")
        self.token = token or own_token(self.host)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        proxied = not is_loopback(httpx.URL(self.host).host)  # no proxy leads to this machine
        self._http = httpx.Client(base_url=self.host, headers=headers, timeout=TIMEOUT, trust_env=proxied)
        self._patience = patience

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The `result` of an answer. Raises ApiError, ServiceUnreachable."""
        return self.envelope(method, path, **arguments)["result"]

    def envelope(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """The whole answer. Raises ApiError, ServiceUnreachable."""
        again = Retrying(
            retry=lambda state: _may_repeat(method, state),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.1),
            reraise=True,
        )
        try:
            answer = again(self._http.request, method, path, **arguments)
        except httpx.HTTPError as failure:
            raise self._unreachable(failure) from failure
        return _opened(answer)

    def lines(self, path: str, params: dict[str, str]) -> Iterator[dict[str, str]]:
        """A stream of JSON lines, as they come."""
        try:
            with self._http.stream("GET", path, params=params, timeout=httpx.Timeout(None, connect=5)) as answer:
                if answer.status_code != 200:
                    answer.read()
                    _opened(answer)
                for line in answer.iter_lines():
                    yield json.loads(line)
        except httpx.HTTPError as failure:
            raise self._unreachable(failure) from failure

    def upload(self, content: bytes) -> str:
        """Upload a zip; its `package://` URL."""
        headers = {"Content-Type": "application/zip"}
        return str(self.call("PUT", "/api/v1/package", content=content, headers=headers, timeout=UPLOAD_TIMEOUT)["url"])

    def download(self, path: str, params: dict[str, str], target: BinaryIO) -> None:
        """Write what is at `path` to `target`, in pieces. Raises ApiError, ServiceUnreachable."""
        try:
            with self._http.stream("GET", path, params=params) as answer:
                if answer.status_code != 200:
                    answer.read()
                    _opened(answer)
                for piece in answer.iter_bytes():
                    target.write(piece)
        except httpx.HTTPError as failure:
            raise self._unreachable(failure) from failure

    def close(self) -> None:
        self._http.close()

    def _unreachable(self, failure: httpx.HTTPError) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"the control service at {self.host} does not answer ({failure or type(failure).__name__}); "
            "start it with `submarine up`, or set SUBMARINE_URL to its address"
        )


def _opened(answer: httpx.Response) -> dict[str, Any]:
    try:
        envelope = answer.json()
    except ValueError:
        envelope = {"message": answer.text[:500]}
    if answer.status_code >= 400:
        raise ApiError(envelope.get("message") or f"HTTP {answer.status_code}", answer.status_code)
    return dict(envelope)


def _may_repeat(method: str, state: RetryCallState) -> bool:
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout):
        return True
    # A timeout has taken its time already: asking again would only wait again.
    broken = isinstance(failure, httpx.TransportError) and not isinstance(failure, httpx.TimeoutException)
    return broken and method in _IDEMPOTENT


@cache
def _threads(_process: int) -> ThreadPool:
    threads = ThreadPool(ASYNC_THREADS)
    atexit.register(threads.terminate)  # or it ends too late, with an error of its own
    return threads


_making_threads = threading.Lock()


def later(call: Callable[..., Result], *arguments: Any) -> AsyncResult[Result]:
    """Submarine's way of not waiting: the call goes on in a thread, `.get()` has its result or raises its error."""
    with _making_threads:
        threads = _threads(os.getpid())  # threads do not survive a fork
    return threads.apply_async(call, arguments)
