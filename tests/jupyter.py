"""A notebook's user, for tests and benchmarks: Jupyter's REST API, kernels and terminals over WebSocket."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import Any

import httpx
import websockets.sync.client as websockets

SECONDS = 60


class Jupyter:
    """`url` is the base of a JupyterLab, `headers` what opens it."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = headers or {}
        self.http = httpx.Client(base_url=self.url, headers=self.headers, timeout=SECONDS)

    def connect(self, path: str, **options: Any) -> websockets.ClientConnection:
        url = self.url.replace("http://", "ws://") + path
        return websockets.connect(url, additional_headers=self.headers, max_size=None, proxy=None, **options)

    def attach(self, id: str) -> Kernel:
        """A kernel that runs already."""
        return Kernel(self, id)

    def kernel(self) -> Kernel:
        """A new one."""
        return Kernel(self, self.http.post("/api/kernels", json={"name": "python3"}).raise_for_status().json()["id"])

    def run_in_terminal(self, command: str, expected: str) -> str:
        """What a terminal shows, until `expected` is in it."""
        name = self.http.post("/api/terminals").raise_for_status().json()["name"]
        shown, deadline = "", time.monotonic() + SECONDS
        with self.connect(f"/terminals/websocket/{name}") as terminal:
            terminal.send(json.dumps(["stdin", f"{command}\r"]))
            while expected not in shown and time.monotonic() < deadline:
                kind, *content = json.loads(terminal.recv(SECONDS))
                shown += content[0] if kind == "stdout" else ""
        self.http.delete(f"/api/terminals/{name}").raise_for_status()
        return shown


class Kernel:
    """A running kernel."""

    def __init__(self, jupyter: Jupyter, id: str) -> None:
        self._jupyter = jupyter
        self.id = id
        self._open = contextlib.ExitStack()
        self._channel = self._open.enter_context(jupyter.connect(f"/api/kernels/{id}/channels"))

    def run(self, code: str, timeout: float = SECONDS) -> str:
        """What a cell prints and answers. Raises AssertionError with the traceback if it fails."""
        sent = uuid.uuid4().hex
        header = {"msg_id": sent, "msg_type": "execute_request", "username": "", "session": sent, "version": "5.4"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._channel.send(json.dumps(message))
        output, deadline = "", time.monotonic() + timeout
        while True:
            answer = json.loads(self._channel.recv(max(0.1, deadline - time.monotonic())))
            if answer["parent_header"].get("msg_id") != sent:
                continue
            kind, content = answer["msg_type"], answer["content"]
            if kind == "stream":
                output += content["text"]
            elif kind == "execute_result":
                output += content["data"]["text/plain"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return output

    def close(self) -> None:
        self._open.close()
        self._jupyter.http.delete(f"/api/kernels/{self.id}")
