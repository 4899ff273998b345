"""A client of the Kubernetes API: objects are typed dictionaries, errors are types, all calls have timeouts.

The official client gives the configuration (contexts, exec plugins, certificates, rotating tokens) and the connection.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kuberay import credentials
from submarine_ray.clusters.drivers.kuberay.credentials import Configuration, Credentials
from submarine_ray.clusters.drivers.kuberay.objects import Event, Object, ObjectList
from submarine_ray.spec.json_types import JsonObject

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Query = str | int
Body = Mapping[str, object] | None
PAGE = 500
CONNECT_SECONDS = 5.0
MERGE_PATCH = "application/merge-patch+json"
# An API server asks for patience with 429, and often has a moment of weakness with these.
BUSY = frozenset({429, 500, 502, 503, 504})


class ApiError(Exception):
    """The API server has answered, and said no: `status` is HTTP's, `reason` Kubernetes' word."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def over_quota(self) -> bool:
        return self.status == 403 and "exceeded quota" in str(self)


class WatchBroken(Unreachable):
    """A watch ended in the middle, as they do: load balancers and API servers come and go."""


class KubeApi:
    """One API server as one user."""

    def __init__(self, source: Credentials, timeout: float) -> None:
        self._source = source
        self._timeout = timeout
        self._lock = threading.Lock()
        self._configuration: Configuration | None = None
        self._client: Any = None
        self._tls: ssl.SSLContext | None = None

    @property
    def in_cluster(self) -> bool:
        return self._source.in_cluster

    @property
    def host(self) -> str:
        return str(self._connected()[0].host).rstrip("/")

    def headers(self) -> dict[str, str]:
        """The authentication headers, read anew each time because tokens rotate."""
        configuration, _ = self._connected()
        return {found["key"]: found["value"] for found in configuration.auth_settings().values() if found["value"]}

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context for other HTTP clients. Build it once a connection: that takes as long as a request."""
        configuration, _ = self._connected()
        with self._lock:
            if self._tls is None:
                self._tls = credentials.tls(configuration)
            return self._tls

    def get(self, path: str, timeout: float | None = None, **query: Query) -> Object:
        """Get an object. Raises ApiError, Unreachable."""
        found: Object = self._json("GET", path, query, timeout=timeout)
        return found

    def get_document(self, path: str, timeout: float | None = None, **query: Query) -> JsonObject:
        """Get a document that is no object: a list, a version or the resources of a group. Raises ApiError,
        Unreachable.
        """
        found: JsonObject = self._json("GET", path, query, timeout=timeout)
        return found

    def create(self, path: str, body: Object) -> Object:
        """Create an object. The server refuses unknown fields by name instead of dropping them. Raises ApiError,
        Unreachable.
        """
        made: Object = self._json("POST", path, {"fieldValidation": "Strict"}, body)
        return made

    def replace(self, path: str, body: Object) -> Object:
        replaced: Object = self._json("PUT", path, {"fieldValidation": "Strict"}, body)
        return replaced

    def patch(self, path: str, body: Object) -> Object:
        """Apply a merge patch. It names no version, so it never conflicts with another write. Raises ApiError,
        Unreachable.
        """
        patched: Object = self._json("PATCH", path, {}, body, MERGE_PATCH)
        return patched

    def delete(self, path: str, version: str | None = None) -> None:
        """Delete an object and what it owns; one that is gone already is no error. With `version` the server answers
        with a conflict if the object has another resourceVersion by now. Raises ApiError, Unreachable.
        """
        options: dict[str, object] = {"propagationPolicy": "Background"}
        if version is not None:
            options["preconditions"] = {"resourceVersion": version}
        try:
            self._json("DELETE", path, {}, options)
        except ApiError as failure:
            if failure.status != 404:
                raise

    def list(self, path: str, selector: str) -> tuple[list[Object], str]:
        """All objects, read page by page, and the list's version. Raises ApiError, with 410 if a page expired."""
        items: list[Object] = []
        query: dict[str, Query] = {"labelSelector": selector, "limit": PAGE}
        while True:
            page: ObjectList = self._json("GET", path, query)
            items += page.get("items") or []
            token = page["metadata"].get("continue")
            if not token:
                return items, page["metadata"].get("resourceVersion", "")
            query["continue"] = token

    def watch(self, path: str, selector: str, version: str, seconds: int, silence: float) -> Iterator[Event]:
        """Events since `version`, for about `seconds`; `silence` is how long nothing may come.

        Raises as `get` does if it cannot begin, and WatchBroken in the middle.
        """
        query: dict[str, Query] = {
            "labelSelector": selector, "watch": "true", "allowWatchBookmarks": "true",
            "resourceVersion": version, "timeoutSeconds": seconds,
        }  # fmt: skip
        return self._events(self._send("GET", path, query, None, None, silence))

    @staticmethod
    def _events(response: BaseHTTPResponse) -> Iterator[Event]:
        try:
            rest = b""
            for piece in response.stream(65536):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except (OSError, ValueError, _transport()) as failure:
            raise WatchBroken(f"the watch broke: {failure or type(failure).__name__}") from failure
        finally:
            response.close()

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._configuration = self._client = self._tls = None

    def _connected(self) -> tuple[Configuration, Any]:
        with self._lock:
            if self._configuration is None:
                configuration = self._source.load()
                from kubernetes.client.rest import RESTClientObject

                self._configuration, self._client = configuration, RESTClientObject(configuration)
            return self._configuration, self._client

    def _json(
        self, method: str, path: str, query: Mapping[str, Query], body: Body = None,
        content_type: str | None = None, timeout: float | None = None,
    ) -> Any:  # fmt: skip
        response = self._send(method, path, query, body, content_type, timeout or self._timeout)
        try:
            return json.loads(response.data or b"{}")
        except (ValueError, OSError, _transport()) as failure:
            raise Unreachable(f"the API server's answer to {method} {path} broke off: {failure}") from failure

    def _send(
        self, method: str, path: str, query: Mapping[str, Query], body: Body, content_type: str | None, timeout: float
    ) -> BaseHTTPResponse:
        """Send a request and return the response, its body unread. Refused credentials are read anew, once."""
        response = self._once(method, path, query, body, content_type, timeout)
        if response.status == 401:
            response.close()
            self.close()
            response = self._once(method, path, query, body, content_type, timeout)
        if response.status >= 400:
            raise self._error(method, path, response)
        return response

    def _once(
        self, method: str, path: str, query: Mapping[str, Query], body: Body, content_type: str | None, timeout: float
    ) -> BaseHTTPResponse:
        configuration, client = self._connected()
        url = f"{configuration.host.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json", **self.headers()}
        data = None if body is None else json.dumps(body).encode()
        from urllib3 import Timeout

        try:
            response: BaseHTTPResponse = client.pool_manager.request(
                method, url, body=data, headers=headers, preload_content=False, retries=False,
                timeout=Timeout(connect=CONNECT_SECONDS, read=timeout),
            )  # fmt: skip
            return response
        except (OSError, _transport()) as failure:
            raise Unreachable(f"the API server {configuration.host} does not answer: {_why(failure)}") from failure

    def _error(self, method: str, path: str, response: BaseHTTPResponse) -> Exception:
        try:
            status = json.loads(response.data)
        except (ValueError, OSError, _transport()):
            status = {}
        message = str(status.get("message") or f"HTTP {response.status}") if isinstance(status, dict) else ""
        reason = str(status.get("reason") or "") if isinstance(status, dict) else ""
        if response.status in BUSY:
            return Unreachable(f"the API server is busy (HTTP {response.status} to {method} {path}): {message}")
        if response.status == 401:
            return Unreachable("the API server does not accept the credentials (HTTP 401); they may have expired")
        return ApiError(response.status, reason, message)


def _transport() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError


def _why(failure: BaseException) -> str:
    """The root cause of an error that urllib3 has wrapped, at times twice."""
    inner = getattr(failure, "reason", None) or (failure.args[-1] if failure.args else None)
    if isinstance(inner, BaseException):
        return _why(inner)
    return re.sub(r"^HTTPS?Connection\([^)]*\): ", "", str(failure))[:300]


def collection(group_version: str, namespace: str, plural: str) -> str:
    """The path of a namespace's objects of a kind: `collection("ray.io/v1", "ml", "rayjobs")`."""
    root = "/api/v1" if group_version == "v1" else f"/apis/{group_version}"
    return f"{root}/namespaces/{namespace}/{plural}"
