"""TensorBoard over the logs of all experiments of this machine, at /tensorboard/: started when first asked for."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import signal
import socket
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from pathlib import Path

import httpx
import structlog
from starlette.responses import Response

from submarine_ray.content.kinds import Visit, refused
from submarine_ray.core import children
from submarine_ray.core.errors import Unavailable
from submarine_ray.core.http import Receive, Scope, Send
from submarine_ray.core.proxy import Proxy, Target, TargetUnreachable
from submarine_ray.core.waiting import Waiting

log = structlog.get_logger(__name__)

PREFIX = "/tensorboard"
START_SECONDS = 30.0
IDLE_SECONDS = 900.0
LOOK_SECONDS = 30.0
STOP_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


def is_installed() -> bool:
    return importlib.util.find_spec("tensorboard") is not None


class TensorBoard:
    """One process for everybody; it ends when nobody has asked for a while, and starts again when somebody does."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._asked = 0.0

    def address(self) -> str:
        """Where it listens (host:port), once it answers. Raises Unavailable."""
        self._asked = time.monotonic()
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._address

    def stop(self) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def _start(self) -> None:
        if not is_installed():
            raise Unavailable("TensorBoard is not installed here; pip install tensorboard")
        self._logs.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        # A thread of its own, alive as long as the process: Linux ends a child with the *thread* that made it.
        started = threading.Event()
        threading.Thread(target=self._supervise, args=(port, started), name="tensorboard", daemon=True).start()
        started.wait(START_SECONDS)
        self._address = f"127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=f"http://{self._address}", timeout=2, trust_env=False) as client:
            while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(f"{PREFIX}/data/environment").status_code == 200:
                        log.info("tensorboard.started", address=self._address)
                        return
                time.sleep(0.1)
        raise Unavailable("TensorBoard did not start; the service's log says why.")

    def _supervise(self, port: int, started: threading.Event) -> None:
        command = [sys.executable, "-m", "submarine_ray.tracking.board", f"--logdir={self._logs}", "--host=127.0.0.1"]
        self._process = process = subprocess.Popen(
            [*command, f"--port={port}", f"--path_prefix={PREFIX}"],
            env=children.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        started.set()
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
            if process.poll() is None and time.monotonic() - self._asked > IDLE_SECONDS:
                log.info("tensorboard.idle")
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)


def _die_with_parent() -> None:
    """A service that is killed must not leave it behind."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TensorBoardContent:
    """/tensorboard/ is TensorBoard."""

    sandboxed = False

    def __init__(self, board: TensorBoard, proxy: Proxy) -> None:
        self._board = board
        self._proxy = proxy
        self._waiting = Waiting(workers=2, at_once=2, queue=64)  # it takes seconds to start

    def find(self, path: str) -> str | None:
        return PREFIX if path == PREFIX or path.startswith(f"{PREFIX}/") else None

    async def arrive(self, scope: Scope) -> Response | None:
        """Nothing: it is started where it is shown."""
        return None

    async def serve(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        """See content.kinds.ContentKind."""
        try:
            address = await self._waiting.ask("TensorBoard", self._board.address)
            await self._proxy.forward(scope, receive, send, Target(address, PREFIX))
        except (Unavailable, TargetUnreachable) as failure:
            await refused(scope, HTTPStatus.SERVICE_UNAVAILABLE, str(failure), visit.main)(scope, receive, send)
