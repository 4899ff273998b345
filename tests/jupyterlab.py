"""A real JupyterLab as the runner starts it, without a cluster, and the notebook's row that leads to it."""

from __future__ import annotations

import shlex
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.runner import notebook as runner
from submarine_ray.spec.launch import Notebook
from submarine_ray.spec.notebooks import path
from tests.conftest import free_port, users_environment, wait_until

TOKEN = "notebooks-own-token"


@contextmanager
def jupyterlab(directory: Path, name: str) -> Iterator[str]:
    """Its address (host:port) while it runs; the user's files are in `directory`."""
    port = free_port()
    told = Notebook(str(directory), path("default", name), TOKEN, host="127.0.0.1")
    command = runner._command(told, directory, "127.0.0.1", port)
    env = users_environment() | runner._jupyter_variables(told, directory)
    with (directory.parent / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=directory, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}{told.path}/api/status?token={TOKEN}"

        def answers() -> bool:
            assert process.poll() is None, f"{shlex.join(command)}: {(directory.parent / 'lab.log').read_text()}"
            try:
                return httpx.get(url, timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, 60, "JupyterLab answers")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def add_running(database: Database, secrets: SecretBox, name: str, address: str, cluster: str = "local") -> None:
    """A notebook as it is while it runs at `address`; the cluster that it names does not answer, so nothing changes."""
    spec = f'{{"meta": {{"name": "{name}", "namespace": "default"}}, "spec": {{"resources": "cpu=1"}}}}'
    with database.session(write=True) as session:
        session.add(
            NotebookRow(
                id=f"notebook_{now_ms()}_{uuid.uuid4().hex[:4]}", generation=1, uid=str(uuid.uuid4()),
                namespace="default", name=name, taken=path("default", name), owner="", cluster=cluster, spec=spec,
                environment="{}", sealed_token=secrets.seal(TOKEN), wanted="run", status="running", reason="It runs",
                attempt=1, failures=0, superseded="", demand_cpu=1, demand_memory=0, demand_gpu=0,
                created_ms=now_ms(), next_check_ms=None, address=address,
            )
        )  # fmt: skip
