"""A JupyterLab as the job's entrypoint: it runs until it is stopped, shut down from within, or idle for too long."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from submarine_ray.runner.environment import platform_variables
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.network import free_port, node_ip
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.runner.single import end_on_sigterm
from submarine_ray.spec.endings import describe
from submarine_ray.spec.launch import Launch, Notebook

SAMPLE = resources.files("submarine_ray.runner") / "sample.ipynb"  # perhaps in a zip, on Kubernetes
SAMPLE_NAME = "Getting started.ipynb"
SETTINGS = ".jupyter/lab/user-settings"
NEWS_SETTINGS = f"{SETTINGS}/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
READY_LOOK_SECONDS = 0.05
LONGEST_IDLE_LOOK = 30.0
QUESTION_SECONDS = 10.0
MAX_FILES_LOOKED_AT = 20_000


def run(launch: Launch, notebook: Notebook) -> None:
    """Run JupyterLab to its end. Raises CommandFailed."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise CommandFailed("the notebook failed: the cluster's Python has no JupyterLab; pip install jupyterlab", 1)
    folder = _folder(Path(launch.work_dir or "."))
    host = notebook.host or node_ip()
    port = free_port(host)
    replica = replace(launch.replicas[0], command=shlex.join(_command(notebook, folder, host, port)))
    env = platform_variables(launch, 0, "") | _jupyter_variables(notebook, folder) | replica.env

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    last = ""

    def sink(line: str) -> None:
        nonlocal last
        last = line.strip() or last
        say(f"[{replica.name}] {line}")

    process = ReplicaProcess(replica, env, folder, sink, launch.grace_seconds)
    end_on_sigterm(process)
    server = Server(f"http://{host}:{port}{notebook.path}", notebook.token)
    ready = f"[submarine] notebook at {host}:{port}"
    watcher = Watcher(server, process, folder, notebook.idle_seconds, lambda: say(ready))
    threading.Thread(target=watcher.watch, daemon=True).start()
    status = process.wait()
    if watcher.was_idle:
        say(f"[submarine] the notebook was idle for {notebook.idle_seconds} s")
    elif status != 0:
        raise CommandFailed(f"the notebook failed: JupyterLab {describe(status)} ({last})", max(status, 1))


def _folder(folder: Path) -> Path:
    """The user's files: with the sample, and settings of no news, if they are new."""
    if not folder.exists():
        settings = folder / NEWS_SETTINGS
        settings.parent.mkdir(mode=0o700, parents=True)
        settings.write_text('{"fetchNews": "false", "checkForUpdates": false}\n')
        folder.chmod(0o700)
        (folder / SAMPLE_NAME).write_bytes(SAMPLE.read_bytes())
    return folder


def _command(notebook: Notebook, folder: Path, host: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--ip={host}", f"--port={port}", "--ServerApp.port_retries=0"),
        f"--ServerApp.base_url={notebook.path}/",
        f"--ServerApp.root_dir={folder}",
        # The control service stands in between: it checks who asks, and is what the browser sees.
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.trust_xheaders=True",
        # Nothing is asked of the network that the user did not ask for.
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def _jupyter_variables(notebook: Notebook, folder: Path) -> dict[str, str]:
    """The token in a variable, where `ps` does not show it; settings beside the files, so that they stay too."""
    own = folder / ".jupyter"
    return {
        "JUPYTER_TOKEN": notebook.token,
        "JUPYTER_CONFIG_DIR": str(own),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / SETTINGS),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "lab" / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "SHELL": os.environ.get("SHELL") or "/bin/bash",
    }


class Server:
    """Jupyter's own REST API."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"token {token}"}

    def get(self, path: str) -> Any:
        """Raises OSError while it does not answer."""
        # What is asked for here is no activity of the user's.
        request = urllib.request.Request(f"{self._url}{path}?no_track_activity=1", headers=self._headers)
        with urllib.request.urlopen(request, timeout=QUESTION_SECONDS) as answer:
            return json.load(answer)

    def last_work(self) -> float | None:
        """When a kernel or terminal last worked, in seconds since 1970; None if one does. Raises OSError.

        Not Jupyter's own `last_activity`: an open page asks for something every ten seconds, whether anybody is there.
        """
        kernels = self.get("/api/kernels")
        if any(kernel["execution_state"] in ("busy", "starting", "restarting") for kernel in kernels):
            return None
        try:
            terminals = self.get("/api/terminals")
        except urllib.error.HTTPError:  # none on this system
            terminals = []
        times = [datetime.fromisoformat(found["last_activity"]).timestamp() for found in (*kernels, *terminals)]
        return max(times, default=0.0)


def last_saved(folder: Path) -> float:
    """When one of the user's files was last written, in seconds since 1970; JupyterLab's own are hidden."""
    times, looked = [0.0], 0
    for directory, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        looked += len(files)
        if looked > MAX_FILES_LOOKED_AT:
            break
        for file in files:
            with contextlib.suppress(OSError):
                times.append((Path(directory) / file).stat().st_mtime)
    return max(times)


class Watcher:
    """Tells when JupyterLab is ready, and ends it when it is idle."""

    def __init__(
        self, server: Server, process: ReplicaProcess, folder: Path, idle_seconds: int, on_ready: Callable[[], None]
    ) -> None:
        self._server = server
        self._process = process
        self._folder = folder
        self._limit = idle_seconds
        self._on_ready = on_ready
        self._active = time.monotonic()
        self._last: tuple[float, float] | None = None
        self._pause = threading.Event()
        self.was_idle = False

    def watch(self) -> None:
        """Until the process has ended, or been ended."""
        while not self._answers():
            if self._process.poll() is not None:
                return
            self._pause.wait(READY_LOOK_SECONDS)
        self._on_ready()
        while self._limit and self._process.poll() is None:
            self._pause.wait(min(self._limit / 4, LONGEST_IDLE_LOOK))
            if self._is_idle():
                self.was_idle = True
                self._process.terminate()
                return

    def _answers(self) -> bool:
        try:
            self._server.get("/api")
        except (OSError, ValueError):
            return False
        return True

    def _is_idle(self) -> bool:
        """Whether nothing has changed for so long. Times are only compared with earlier ones: clocks may be set."""
        try:
            worked = self._server.last_work()
            last = None if worked is None else (worked, last_saved(self._folder))
        except (OSError, ValueError, KeyError):  # busy beyond answering: not idle
            last = None
        if last is None or last != self._last:
            self._last, self._active = last, time.monotonic()
        return time.monotonic() - self._active > self._limit
