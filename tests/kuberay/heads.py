"""A Ray dashboard that says what a test tells it to: for states that real Ray does not take on demand."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from tests.kuberay.apiserver import Object, now

if TYPE_CHECKING:
    from tests.kuberay.operator import Operator


class ScriptedHead:
    """`jobs` is what its Jobs API knows; stopped jobs become STOPPED; it asks for its token."""

    def __init__(self, token: str = "head-token") -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.token = token
        self.stopped: list[str] = []
        self.replicas: list[dict[str, Any]] = []  # of the one endpoint that Serve has
        self.endpoint = ""
        self.count: int | None = None  # of its replicas, as asked for; None: whatever there are
        head = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                head.answer(self, "GET")

            def do_POST(self) -> None:
                head.answer(self, "POST")

            def do_DELETE(self) -> None:
                head.answer(self, "DELETE")

            def do_PUT(self) -> None:
                head.answer(self, "PUT")

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
        self.address = f"127.0.0.1:{self._http.server_port}"

    def set(self, id: str, status: str, **more: Any) -> None:
        self.jobs[id] = {"submission_id": id, "status": status, **more}

    def answer(self, request: BaseHTTPRequestHandler, method: str) -> None:
        given = request.headers.get("x-ray-authorization") or request.headers.get("Authorization")
        path = request.path.split("?")[0]
        raw = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if given != f"Bearer {self.token}":
            code, body = 403, {"msg": "wrong token"}
        elif method == "POST" and path == "/api/jobs/":
            code, body = self._take(json.loads(raw))
        elif method == "PUT" and path == "/api/serve/applications/":
            code, body = self._deploy(json.loads(raw))
        else:
            code, body = self._look(method, path)
        data = json.dumps(body).encode()
        request.send_response(code)
        request.send_header("Content-Length", str(len(data)))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(data)
        request.close_connection = True

    def _take(self, job: dict[str, Any]) -> tuple[int, Any]:
        """A job that is handed over runs until a test ends it."""
        self.set(job["submission_id"], "RUNNING", start_time=int(time.time() * 1000))
        return 200, {"submission_id": job["submission_id"]}

    def _deploy(self, config: dict[str, Any]) -> tuple[int, Any]:
        """Serve's one application; its replicas come as a test, or the pods, have it."""
        (application,) = config["applications"]
        self.endpoint, self.count = application["name"], application["deployments"][0]["num_replicas"]
        return 200, {}

    def _applications(self) -> dict[str, Any]:
        running = sum(one["state"] == "RUNNING" for one in self.replicas)
        status = "RUNNING" if self.count in (None, running) else "DEPLOYING"
        found = {"status": status, "deployments": {"model": {"replicas": self.replicas}}}
        return {self.endpoint: found} if self.endpoint else {}

    def _look(self, method: str, path: str) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        id = parts[2] if len(parts) > 2 else ""
        if parts[:3] == ["api", "serve", "applications"]:
            return 200, {"applications": self._applications()}
        if path == "/api/v0/nodes":
            size = {"CPU": 2.0, "memory": 4e9}
            node = {"node_id": "a", "state": "ALIVE", "is_head_node": True, "resources_total": size}
            return 200, {"data": {"result": {"result": [node]}}}
        if parts[:2] != ["api", "jobs"] or id not in self.jobs:
            return 404, {"msg": f"Job {id} does not exist"}
        if parts[3:] == ["logs"]:
            return 200, {"logs": self.logs.get(id, "")}
        if parts[3:] == ["stop"]:
            self.stopped.append(id)
            self.set(id, "STOPPED")
            return 200, {"stopped": True}
        return 200, self.jobs[id]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class QuickHead(ScriptedHead):
    """In a head pod in place of real Ray: what the operator hands to it runs until a test says otherwise. Serve has a
    replica in each worker pod until there are enough; none starts while the operator's `hold` has "replicas".
    """

    has_pods = True

    def __init__(self, operator: Operator, cluster: Object) -> None:
        super().__init__(operator.token_of(cluster) or "")
        self.started = now()
        self.serve_port = int(self.address.rsplit(":", 1)[1])
        self._operator, self._cluster = operator, cluster["metadata"]["name"]
        self.http = httpx.Client(
            base_url=f"http://{self.address}", timeout=20, headers={"Authorization": f"Bearer {self.token}"}
        )
        self._is_alive = True

    def inside(self, text: str) -> str:
        return text

    def _applications(self) -> dict[str, Any]:
        pods = [p["status"]["podIP"] for p in self._operator.pods.workers(self._cluster) if p["status"].get("podIP")]
        if self.count is not None:
            kept = [one for one in self.replicas if one["node_ip"] in pods][-self.count :]
            busy = {one["node_ip"] for one in kept}
            room = [] if "replicas" in self._operator.hold else [ip for ip in pods if ip not in busy]
            new = room[: self.count - len(kept)]
            self.replicas = kept + [{"replica_id": ip, "node_ip": ip, "state": "RUNNING"} for ip in new]
        return super()._applications()

    def is_alive(self) -> bool:
        return self._is_alive

    def kill(self) -> None:
        self._is_alive = False

    def stop(self) -> None:
        self.http.close()
        self.close()
