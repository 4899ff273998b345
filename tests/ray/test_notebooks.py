"""Notebooks: a real JupyterLab in a real cluster, used through the service."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from submarine_ray.client.errors import ApiError
from submarine_ray.client.notebooks import NotebookClient
from tests.conftest import RunningPlatform, wait_until
from tests.jupyter import Jupyter

pytestmark = pytest.mark.ray


class Notebooks:
    """Creates notebooks, and waits for what becomes of them."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.platform = platform
        self.client = NotebookClient(platform.url)

    def create(self, name: str | None = None, **more: Any) -> dict[str, Any]:
        meta = {"name": name or f"nb-{uuid.uuid4().hex[:8]}", "namespace": "default", "ownerId": "somebody"}
        pod = {"resources": "cpu=0.5,memory=512Mi", "envVars": {"TEST_ENV": "a test's"}, **more}
        return self.client.create_notebook({"meta": meta, "environment": {"name": "notebook-env"}, "spec": pod})

    def until(self, id: str, status: str, timeout: float = 90) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.client.get_notebook(id))
            assert found["status"] == status or found["status"] != "failed", found["reason"]
            return found["status"] == status

        wait_until(look, timeout, f"{id} is {status}")
        return found

    def jupyter(self, notebook: dict[str, Any]) -> Jupyter:
        return Jupyter(self.platform.url + notebook["url"].removesuffix("/lab"))


@pytest.fixture
def notebooks(platform: RunningPlatform) -> Iterator[Notebooks]:
    made = Notebooks(platform)
    yield made
    for notebook in made.client.list_notebooks():
        made.client.delete_notebook(notebook["notebookId"])


@pytest.mark.long
def test_a_notebook_opens_runs_cells_and_a_terminal_and_submits_experiments(notebooks: Notebooks) -> None:
    created = notebooks.create()
    assert created["status"] == "creating" and created["reason"] == "The notebook instance is creating"
    running = notebooks.until(created["notebookId"], "running")
    assert running["reason"] == "The notebook instance is running"
    jupyter = notebooks.jupyter(running)
    page = httpx.get(notebooks.platform.url + running["url"])
    assert page.status_code == 200 and "JupyterLab" in page.text and "token" not in str(page.url)

    sample = jupyter.http.get("/api/contents/Getting started.ipynb").raise_for_status().json()["content"]
    kernel = jupyter.kernel()
    assert "a test's" in kernel.run("import os; os.environ['TEST_ENV']")
    cells = ["".join(cell["source"]) for cell in sample["cells"] if cell["cell_type"] == "code"]
    outputs = [kernel.run(cell, timeout=300) for cell in cells]
    assert "worker-0 hello from the cluster" in outputs[1] and "loss" in outputs[3] and "[0, 1, 4, 9]" in outputs[4]
    names = [experiment["spec"]["meta"]["name"] for experiment in notebooks.platform.client.list_experiments()]
    assert {"hello", "function"} <= set(names)
    kernel.close()
    assert "6 times 7 is 42" in jupyter.run_in_terminal('echo "6 times 7 is $((6 * 7))"', "is 42")


def test_the_raw_port_needs_the_notebooks_own_token(notebooks: Notebooks) -> None:
    running = notebooks.until(notebooks.create()["notebookId"], "running")
    jupyter = notebooks.jupyter(running)
    kernel = jupyter.kernel()
    port = kernel.run(
        "import json, os, glob; print(json.load(open(glob.glob(os.environ['JUPYTER_RUNTIME_DIR'] + '/jpserver-*.json')[0]))['port'])"
    )
    kernel.close()
    raw = f"http://127.0.0.1:{int(port)}{running['url'].removesuffix('/lab')}"
    assert httpx.get(f"{raw}/api/contents").status_code == 403
    assert jupyter.http.get("/api/contents").status_code == 200
    # A page of somebody else's must not reach a kernel through the user's browser.
    with (
        pytest.raises(InvalidStatus, match="403"),
        jupyter.connect("/api/events/subscribe", origin="http://evil.example"),
    ):
        pass


@pytest.mark.long
def test_files_survive_deletion_and_a_restart_of_the_service(notebooks: Notebooks) -> None:
    first = notebooks.until(notebooks.create("kept")["notebookId"], "running")
    with pytest.raises(ApiError, match="exists") as clash:
        notebooks.create("kept")
    assert clash.value.code == 409
    jupyter = notebooks.jupyter(first)
    body = {"type": "file", "format": "text", "content": "years of work"}
    jupyter.http.put("/api/contents/work.txt", json=body).raise_for_status()
    kernel = jupyter.kernel()
    kernel.run("x = 42")

    notebooks.platform.restart_service()
    again = notebooks.jupyter(notebooks.until(first["notebookId"], "running"))
    kernel.close()  # its channel went through the service that is gone
    assert "years of work" in again.http.get("/api/contents/work.txt").json()["content"]

    deleted = notebooks.client.delete_notebook(first["notebookId"])
    assert deleted["status"] == "terminating" and deleted["deletedTime"]
    with pytest.raises(ApiError) as gone:
        notebooks.client.delete_notebook(first["notebookId"])
    assert gone.value.code == 404
    second = notebooks.until(notebooks.create("kept")["notebookId"], "running")
    assert second["notebookId"] != first["notebookId"]
    text = notebooks.jupyter(second).http.get("/api/contents/work.txt").json()["content"]
    assert text == "years of work"


@pytest.mark.long
def test_an_idle_notebook_is_stopped_and_starts_again_when_it_is_opened(notebooks: Notebooks) -> None:
    id = notebooks.create(idleSeconds=3)["notebookId"]
    running = notebooks.until(id, "running")
    kernel = notebooks.jupyter(running).kernel()
    kernel.run("import time; time.sleep(5)")  # longer than it may be idle: work is not idleness
    assert notebooks.client.get_notebook(id)["status"] == "running"
    page_left_open = notebooks.jupyter(running).http

    def is_stopped() -> bool:
        page_left_open.get("/api/sessions")  # JupyterLab's own polling is no work
        return notebooks.client.get_notebook(id)["status"] == "stopped"

    wait_until(is_stopped, 60, "the notebook is stopped")
    stopped = notebooks.client.get_notebook(id)
    assert "idle" in stopped["reason"]
    address = notebooks.platform.url + stopped["url"]
    assert httpx.get(address, headers={"Accept": "application/json"}).status_code == 503
    assert notebooks.client.get_notebook(id)["status"] == "stopped"  # a program's poll does not wake it
    page = httpx.get(address, headers={"Accept": "text/html"})
    assert page.status_code == 503 and 'http-equiv="refresh"' in page.text
    notebooks.until(id, "running")


def test_a_notebook_that_cannot_start_says_why(notebooks: Notebooks, tmp_path: Path) -> None:
    (tmp_path / "jupyterlab.py").write_text("raise ImportError('this JupyterLab is <b>broken</b>')")
    created = notebooks.create(envVars={"PYTHONPATH": str(tmp_path)})
    id = created["notebookId"]
    failed: dict[str, Any] = wait_until(
        lambda: (found := notebooks.client.get_notebook(id))["status"] == "failed" and found, 60, "it fails"
    )
    assert "this JupyterLab is <b>broken</b>" in failed["reason"]
    page = httpx.get(notebooks.platform.url + failed["url"], headers={"Accept": "text/html"})
    assert "this JupyterLab is &lt;b&gt;broken" in page.text
    (tmp_path / "jupyterlab.py").unlink()
    notebooks.client.start_notebook(id)  # mended, it starts
    notebooks.until(id, "running")


@pytest.mark.long
def test_a_package_of_the_environment_is_there(notebooks: Notebooks) -> None:
    id = notebooks.client.create_notebook(
        {
            "meta": {"name": "with-package"},
            "environment": {"kernelSpec": {"pipDependencies": ["sniffio==1.3.1"]}},
            "spec": {"resources": "cpu=0.5"},
        }
    )["notebookId"]
    kernel = notebooks.jupyter(notebooks.until(id, "running", 180)).kernel()
    assert "1.3.1" in kernel.run("import sniffio; sniffio.__version__")
    kernel.close()


def test_the_command(notebooks: Notebooks, tmp_path: Path) -> None:
    spec = {"meta": {"name": "by-command"}, "environment": {"name": "notebook-env"}, "spec": {"resources": "cpu=0.5"}}
    (tmp_path / "nb.json").write_text(json.dumps(spec))
    cli: Callable[..., Any] = notebooks.platform.cli
    id = cli("create", "notebook", "-f", str(tmp_path / "nb.json")).stdout.strip()
    listed = cli("list", "notebook").stdout
    assert all(text in listed for text in (id, "by-command", "notebook-env", "cpu=0.5"))
    assert json.loads(cli("get", "notebook", id, "--output", "json").stdout)["name"] == "by-command"
    assert f"Notebook(id = {id} ) deleted" in cli("delete", "notebook", id, "--wait").stdout
    assert "Notebook not found" in cli("get", "notebook", id, check=False).stderr


@pytest.mark.long
def test_a_notebook_on_a_registered_cluster(notebooks: Notebooks) -> None:
    """Reached over the network only: the runner and JupyterLab travel with the job."""
    platform = notebooks.platform
    state = json.loads(platform.home.ray_state.read_text())
    cluster = {"name": "far", "address": state["address"], "token": platform.home.ray_token.read_text().strip()}
    platform.client.service.call("POST", "/api/v1/cluster", json=cluster)
    name = f"far-{uuid.uuid4().hex[:8]}"
    spec = {"meta": {"name": name}, "spec": {"resources": "cpu=0.5"}, "cluster": "far"}
    id = notebooks.client.create_notebook(spec)["notebookId"]
    kernel = notebooks.jupyter(notebooks.until(id, "running", 180)).kernel()
    folder = kernel.run("import os, submarine_ray; print(os.getcwd())").strip()
    kernel.close()
    assert folder.endswith(f"/notebooks/default/{name}")
    notebooks.client.stop_notebook(id)
    notebooks.until(id, "stopped")
    notebooks.client.delete_notebook(id)
    shutil.rmtree(folder)
    gone = f"{platform.url}/api/v1/cluster/far"
    wait_until(lambda: httpx.delete(gone).status_code == 200, 30, "nothing is left to do there")
