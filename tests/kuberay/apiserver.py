"""A simulated Kubernetes API server: real HTTP, typed by KubeRay's CRDs where they are at hand, with faults on demand.

What it does as the real one: resourceVersions, 409 on create and on stale update, label selectors, pages, watches with
bookmarks and 410, the status subresource, finalizers and deletionTimestamp, garbage collection some time after an owner
has gone, strict field validation, PodSecurity, SelfSubjectAccessReview, and the service proxy (HTTP and WebSocket).
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kuberay import schemas

Object = dict[str, Any]
KINDS = {
    "rayjobs": "RayJob", "rayclusters": "RayCluster", "rayservices": "RayService", "pods": "Pod", "secrets": "Secret",
    "configmaps": "ConfigMap", "persistentvolumeclaims": "PersistentVolumeClaim", "serviceaccounts": "ServiceAccount",
}  # fmt: skip
ENFORCE = "pod-security.kubernetes.io/enforce"
RAY = ("rayjobs", "rayclusters", "rayservices")
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))/namespaces/(?P<ns>[^/]+)/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|proxy)(?P<rest>/.*)?)?"
)


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.headers = code, reason, headers or {}

    def body(self) -> Object:
        return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.code, "reason": self.reason,
                "message": str(self)}  # fmt: skip


GRACE_SECONDS = 0.1  # until what a deleted object owned is gone; 30 of a real pod


class Store:
    """The objects, their history, and who owns whom. Every change is an event."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._objects: dict[tuple[str, str], Object] = {}
        self._version = 1000
        self._history: deque[tuple[int, str, str, Object]] = deque(maxlen=20_000)
        self.oldest = 0
        self.quota: dict[str, int] = {}
        self.collecting = threading.Event()  # cleared, what a deleted object owned stays for now
        self.collecting.set()
        self.admit: Callable[[str, Object], None] = lambda plural, body: None

    def create(self, plural: str, body: Object) -> Object:
        with self.changed:
            name = body["metadata"]["name"]
            self.admit(plural, body)
            if (plural, name) in self._objects:
                raise Refused(409, "AlreadyExists", f'{plural}.ray.io "{name}" already exists')
            most = self.quota.get(plural)
            if most is not None and sum(p == plural for p, _ in self._objects) >= most:
                raise Refused(403, "Forbidden", f'{plural} "{name}" is forbidden: exceeded quota: team, requested: '
                              f"count/{plural}=1, used: count/{plural}={most}, limited: count/{plural}={most}")  # fmt: skip
            made = deepcopy(body)
            made["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
            return self._put("ADDED", plural, made)

    def get(self, plural: str, name: str) -> Object:
        with self.changed:
            return deepcopy(self._found(plural, name))

    def find(self, plural: str, name: str) -> Object | None:
        with self.changed:
            return deepcopy(self._objects.get((plural, name)))

    def list(self, plural: str, selector: str = "") -> tuple[list[Object], int]:
        with self.changed:
            found = [o for (p, _), o in sorted(self._objects.items()) if p == plural and matches(o, selector)]
            return found, self._version

    def replace(self, plural: str, name: str, body: Object) -> Object:
        with self.changed:
            there = self._found(plural, name)
            version = body["metadata"].get("resourceVersion")
            if version and version != there["metadata"]["resourceVersion"]:
                raise Refused(
                    409, "Conflict", f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified'
                )
            changed = deepcopy(body)
            kept = ("uid", "creationTimestamp", "generation", "deletionTimestamp")  # finalizers are the writer's
            changed["metadata"] |= {k: there["metadata"][k] for k in kept if k in there["metadata"]}
            if "status" in there:
                changed["status"] = there["status"]
            if changed.get("spec") != there.get("spec"):
                changed["metadata"]["generation"] += 1
            return self._put("MODIFIED", plural, changed)

    def patch(self, plural: str, name: str, body: Object, status: bool = False) -> Object:
        """A merge patch, of the status alone or of all but it."""
        with self.changed:
            there = deepcopy(self._found(plural, name))
            version = (body.get("metadata") or {}).get("resourceVersion")
            if version and version != there["metadata"]["resourceVersion"]:
                raise Refused(
                    409, "Conflict", f'Operation cannot be fulfilled on {plural} "{name}": it has been modified'
                )
            part = {k: v for k, v in body.items() if (k == "status") == status}
            changed = merge(there, part)
            if changed == self._objects[plural, name]:
                return changed
            if not status and changed.get("spec") != self._objects[plural, name].get("spec"):
                changed["metadata"]["generation"] = changed["metadata"].get("generation", 1) + 1
            found = self._put("MODIFIED", plural, changed)
            self._finalize(plural, name)
            return found

    def delete(self, plural: str, name: str, version: str | None = None) -> None:
        with self.changed:
            there = deepcopy(self._found(plural, name))
            if version and version != there["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", f"the ResourceVersion in the precondition ({version}) does not match")
            if there["metadata"].get("finalizers"):
                if not there["metadata"].get("deletionTimestamp"):
                    there["metadata"]["deletionTimestamp"] = now()
                    self._put("MODIFIED", plural, there)
                return
            self._remove(plural, name)

    def compact(self) -> None:
        """Forget the past: whoever watches from before is told 410."""
        with self.changed:
            self.oldest = self._version
            self._history.clear()
            self.changed.notify_all()

    def since(self, version: int, plural: str) -> tuple[list[tuple[str, Object]], int]:
        """Events after `version`; the newest version. Raises Refused with 410."""
        if version < self.oldest:
            raise Refused(410, "Expired", f"too old resource version: {version} ({self.oldest})")
        found = []
        for number, kind, of, item in reversed(self._history):
            if number <= version:
                break
            if of == plural:
                found.append((kind, item))
        return found[::-1], self._version

    def _found(self, plural: str, name: str) -> Object:
        if (plural, name) not in self._objects:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        return self._objects[plural, name]

    def _put(self, kind: str, plural: str, item: Object) -> Object:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self._objects[plural, item["metadata"]["name"]] = item
        self._history.append((self._version, kind, plural, item))
        self.changed.notify_all()
        return deepcopy(item)

    def _finalize(self, plural: str, name: str) -> None:
        there = self._objects.get((plural, name))
        if there and there["metadata"].get("deletionTimestamp") and not there["metadata"].get("finalizers"):
            self._remove(plural, name)

    def _remove(self, plural: str, name: str) -> None:
        gone = deepcopy(self._objects.pop((plural, name)))
        self._version += 1
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._history.append((self._version, "DELETED", plural, gone))
        self.changed.notify_all()
        collector = threading.Timer(GRACE_SECONDS, self._collect, [gone["metadata"]["uid"]])
        collector.daemon = True
        collector.start()

    def _collect(self, owner: str) -> None:
        """The garbage collector: by itself, and in the background."""
        self.collecting.wait()
        with self.changed:
            owned = [
                key for key, item in self._objects.items()
                if any(o["uid"] == owner for o in item["metadata"].get("ownerReferences") or [])
            ]  # fmt: skip
            for plural, name in owned:
                self.delete(plural, name)


class ApiServer:
    """Serves a store. The attributes below `faults` are switched by tests while it runs."""

    def __init__(self, namespace: str = "ml", tls: ssl.SSLContext | None = None) -> None:
        self.store = Store()
        self.namespace = namespace
        self.namespace_is_there = True
        self.namespace_labels: dict[str, str] = {}
        self.store.admit = self._admit
        self.upstreams: dict[str, str] = {}  # service name: host:port of what stands behind it
        self.installed = set(RAY)
        self.operator_image = "quay.io/kuberay/operator:v1.7.0"
        self.classes: set[str] = {"standard"}
        # Faults.
        self.tokens: set[str] | None = None
        self.denied: set[tuple[str, str]] = set()
        self.is_down = False
        self.crds_are_read = True  # after its start a real one lets reads of custom resources time out for 10 to 30 s
        self.fail_next: deque[Refused] = deque()
        self.conflicts = 0
        self.bookmark_seconds = 1.0
        self.requests: deque[tuple[float, str, str]] = deque(maxlen=100_000)
        self._watching: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.request_queue_size = 128
        self.scheme = "https" if tls else "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def kubeconfig(self, user: Object | None = None, cluster: Object | None = None) -> Object:
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, **(cluster or {})}}],
            "users": [{"name": "test", "user": user or {"token": "test-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }  # fmt: skip

    def _admit(self, plural: str, body: Object) -> None:
        """PodSecurity, as far as it concerns our pods."""
        if plural != "pods" or self.namespace_labels.get(ENFORCE) != "restricted" or "spec" not in body:
            return
        lacks = not_restricted(body["spec"])
        if lacks:
            raise Refused(403, "Forbidden", f'pods "{body["metadata"]["name"]}" is forbidden: violates PodSecurity '
                          f'"restricted:latest": {", ".join(lacks)}')  # fmt: skip

    def go_down(self) -> None:
        """Every connection breaks, and new ones too."""
        self.is_down = True
        for connection in list(self._watching):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self.store.changed:
            self.store.changed.notify_all()

    def come_up(self) -> None:
        self.is_down = False

    def close(self) -> None:
        self.go_down()
        self._http.shutdown()
        self._http.server_close()

    def count(self, method: str | None = None, part: str = "") -> int:
        return sum((method in (None, m)) and part in path for _, m, path in list(self.requests))


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def do_PUT(self) -> None:
            self._serve("PUT")

        def do_PATCH(self) -> None:
            self._serve("PATCH")

        def do_DELETE(self) -> None:
            self._serve("DELETE")

        def _serve(self, method: str) -> None:
            if server.is_down:
                self.close_connection = True
                return
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.requests.append((time.time(), method, self.path))
            try:
                self._authenticate()
                if server.fail_next and "/proxy" not in self.path:
                    raise server.fail_next.popleft()
                self._route(method, raw)
            except Refused as refusal:
                self._answer(refusal.code, refusal.body(), refusal.headers)
            except (BrokenPipeError, ConnectionError):
                self.close_connection = True

        def _authenticate(self) -> None:
            given = self.headers.get("Authorization", "")
            if server.tokens is not None and given.removeprefix("Bearer ") not in server.tokens:
                raise Refused(401, "Unauthorized", "Unauthorized")

        def _route(self, method: str, raw: bytes) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if found := _PATH.fullmatch(parts.path):
                if found["sub"] == "proxy":
                    self._proxy(method, found["name"], found["rest"] or "/", parts.query, raw)
                    return
                self._resource(method, found, query, json.loads(raw) if raw else {})
                return
            self._answer(200, self._cluster_scoped(method, parts.path, json.loads(raw) if raw else {}))

        def _wait_for_crds(self) -> None:
            while not server.crds_are_read and not server.is_down:
                time.sleep(0.05)

        def _cluster_scoped(self, method: str, path: str, body: Object) -> Object:
            if path == "/version":
                return {"major": "1", "minor": "36", "gitVersion": "v1.36.1"}
            if path == "/apis/ray.io/v1":
                self._wait_for_crds()
                if ("get", "discovery") in server.denied:
                    raise Refused(403, "Forbidden", 'User "test" cannot get path "/apis/ray.io/v1"')
                if not server.installed:
                    raise Refused(404, "NotFound", "the server could not find the requested resource")
                return {"kind": "APIResourceList", "resources": [{"name": name} for name in server.installed]}
            if path == "/apis/apps/v1/deployments":
                spec = {"template": {"spec": {"containers": [{"image": server.operator_image}]}}}
                return {"items": [{"spec": spec}] if server.operator_image else []}
            if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
                asked = body["spec"]["resourceAttributes"]
                resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
                return body | {"status": {"allowed": (asked["verb"], resource) not in server.denied}}
            kind, _, name = path.rpartition("/")
            if kind == "/api/v1/namespaces" and ("get", "namespaces") in server.denied:
                raise Refused(403, "Forbidden", f'namespaces "{name}" is forbidden: User "test" cannot get resource '
                              f'"namespaces" in API group "" in the namespace "{name}"')  # fmt: skip
            if kind.endswith("/storageclasses") and name in server.classes:
                return {"metadata": {"name": name}}
            if kind == "/api/v1/namespaces" and name == server.namespace and server.namespace_is_there:
                return {"metadata": {"name": name, "labels": server.namespace_labels}, "status": {"phase": "Active"}}
            raise Refused(404, "NotFound", f'{kind.rsplit("/", 1)[-1]} "{name}" not found')

        def _resource(self, method: str, found: re.Match[str], query: dict[str, str], body: Object) -> None:
            plural, name = found["plural"], found["name"]
            verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method)
            verb = verb or ("get" if name else "watch" if query.get("watch") == "true" else "list")
            if (verb, plural) in server.denied:
                raise Refused(403, "Forbidden", f'{plural}.ray.io is forbidden: User "test" cannot {verb} resource '
                              f'"{plural}" in API group "{found["group"] or ""}" in the namespace "{found["ns"]}"')  # fmt: skip
            if plural in RAY and method == "GET":
                self._wait_for_crds()
            if plural in RAY and plural not in server.installed:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            if found["ns"] != server.namespace or not server.namespace_is_there:
                if method == "POST":
                    raise Refused(404, "NotFound", f'namespaces "{found["ns"]}" not found')
                if name:
                    raise Refused(404, "NotFound", f'{plural} "{name}" not found')
                plural = "nothing"  # what is listed there is empty, and no error
            if method == "GET" and not name:
                if verb == "watch":
                    self._watch(plural, query)
                else:
                    self._list(plural, query)
                return
            self._answer(
                201 if method == "POST" else 200, self._change(method, plural, name, found["sub"], query, body)
            )

        def _change(
            self, method: str, plural: str, name: str, sub: str | None, query: dict[str, str], body: Object
        ) -> Object:
            if method in ("POST", "PUT"):
                problem = (
                    schemas.problem(KINDS.get(plural, ""), body) if query.get("fieldValidation") == "Strict" else None
                )
                if problem:
                    raise Refused(400, "BadRequest", f'{KINDS[plural]} in version "v1" cannot be handled: {problem}')
            if method == "POST":
                size = len(json.dumps(body.get("binaryData") or {}))
                if plural == "configmaps" and size > 1_048_576:
                    raise Refused(422, "Invalid", "data: Too long: may not be more than 1048576 bytes")
                return server.store.create(plural, body)
            if method == "PUT":
                if server.conflicts > 0:
                    server.conflicts -= 1
                    raise Refused(
                        409, "Conflict", "the object has been modified; please apply your changes to the latest version"
                    )
                return server.store.replace(plural, name, body)
            if method == "PATCH":
                return server.store.patch(plural, name, body, sub == "status")
            if method == "DELETE":
                server.store.delete(plural, name, (body.get("preconditions") or {}).get("resourceVersion"))
                return {"kind": "Status", "status": "Success"}
            return server.store.get(plural, name)

        def _list(self, plural: str, query: dict[str, str]) -> None:
            items, version = server.store.list(plural, query.get("labelSelector", ""))
            start = 0
            if token := query.get("continue"):
                start, version = json.loads(base64.urlsafe_b64decode(token))
                if version < server.store.oldest:
                    raise Refused(410, "Expired", "The provided continue parameter is too old")
            limit = int(query.get("limit") or 0)
            page = items[start : start + limit] if limit else items
            metadata: Object = {"resourceVersion": str(version)}
            if limit and start + limit < len(items):
                metadata["continue"] = base64.urlsafe_b64encode(json.dumps([start + limit, version]).encode()).decode()
            self._answer(200, {"kind": f"{KINDS.get(plural, '')}List", "metadata": metadata, "items": page})

        def _watch(self, plural: str, query: dict[str, str]) -> None:
            version, selector = int(query.get("resourceVersion") or 0), query.get("labelSelector", "")
            until = time.monotonic() + float(query.get("timeoutSeconds") or 60)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            server._watching.add(self.connection)
            bookmark = time.monotonic() + server.bookmark_seconds
            try:
                while time.monotonic() < until and not server.is_down:
                    with server.store.changed:
                        events, version = server.store.since(version, plural)
                        if not events:
                            server.store.changed.wait(0.2)
                    for kind, item in events:
                        if matches(item, selector):
                            self._event(kind, item)
                    if time.monotonic() > bookmark:
                        self._event(
                            "BOOKMARK", {"kind": KINDS.get(plural, ""), "metadata": {"resourceVersion": str(version)}}
                        )
                        bookmark = time.monotonic() + server.bookmark_seconds
                if not server.is_down:
                    self.wfile.write(b"0\r\n\r\n")
            except Refused as refusal:
                self._event("ERROR", refusal.body())
                self.wfile.write(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionError, OSError):
                pass
            finally:
                self.close_connection = True
                server._watching.discard(self.connection)

        def _event(self, kind: str, item: Object) -> None:
            line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()

        def _proxy(self, method: str, service: str, rest: str, query: str, raw: bytes) -> None:
            """As the API server does: its own Authorization stays behind, everything else goes on, both ways."""
            verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
            if (verb, "services/proxy") in server.denied:
                raise Refused(403, "Forbidden", f'services "{service}" is forbidden: User "test" cannot {verb} '
                              f'resource "services/proxy" in API group "" in the namespace "{server.namespace}"')  # fmt: skip
            target = server.upstreams.get(service.split(":")[0])
            if target is None:
                raise Refused(503, "ServiceUnavailable", f'no endpoints available for service "{service}"')
            host, port = target.rsplit(":", 1)
            own = ("authorization", "host", "connection", "content-length")
            websocket = self.headers.get("Upgrade", "").lower() == "websocket"
            lines = [f"{method} {rest}{'?' + query if query else ''} HTTP/1.1", f"Host: {target}"]
            lines += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in own]
            lines += ["Connection: Upgrade"] if websocket else ["Connection: close", f"Content-Length: {len(raw)}"]
            try:
                upstream = socket.create_connection((host, int(port)), 10)
            except OSError as failure:
                raise Refused(503, "ServiceUnavailable", f"error trying to reach service: {failure}") from failure
            with upstream:
                upstream.settimeout(None)
                upstream.sendall("\r\n".join([*lines, "", ""]).encode() + raw)
                if websocket:
                    threading.Thread(target=_pump, args=(self.connection, upstream), daemon=True).start()
                _pump(upstream, self.connection)
            self.close_connection = True

        def _answer(self, code: int, body: Object, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


def not_restricted(spec: Object) -> list[str]:
    """What the standard `restricted` misses in a pod, in the API server's words."""
    pod = spec.get("securityContext") or {}
    lacks = [] if pod.get("runAsNonRoot") is True else ["runAsNonRoot != true"]
    lacks += [] if (pod.get("seccompProfile") or {}).get("type") == "RuntimeDefault" else ["seccompProfile"]
    for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
        own = container.get("securityContext") or {}
        if own.get("allowPrivilegeEscalation") is not False:
            lacks.append("allowPrivilegeEscalation != false")
        if (own.get("capabilities") or {}).get("drop") != ["ALL"]:
            lacks.append("unrestricted capabilities")
    lacks += ["restricted volume types" for volume in spec.get("volumes") or [] if {"nfs", "hostPath"} & volume.keys()]
    return lacks


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def matches(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, is_equal, value = term.partition("=")
        if (labels.get(key) != value) if is_equal else (key not in labels):
            return False
    return True


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
