"""Snippets do what they say: Python and the command line are run, and what curl would send is sent."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.client.environments import EnvironmentClient
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.models import ModelClient
from submarine_ray.client.notebooks import NotebookClient
from submarine_ray.client.templates import TemplateClient
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.tags import EXPERIMENT_TAG, MODEL_ID_TAG
from submarine_ray.workbench import snippets
from submarine_ray.workbench.snippets import Snippets
from tests.browser.conftest import Service
from tests.conftest import users_environment, wait_until

NAME = "it's"  # in descriptions, where anything may stand


class Answers(BaseHTTPRequestHandler):
    """A model that answers with what it was asked."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"asked": json.loads(content)}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/invocations"
    server.shutdown()


class Things:
    """One of each kind on a service, and what snippets say of it."""

    def __init__(self, service: Service, answering: str) -> None:
        self.service = service
        self.model = f"snipped-{uuid.uuid4().hex[:6]}"
        self.here = snippets.Service(service.url, False)
        self._registry = f"{service.url}/mlflow/api/2.0/mlflow"
        self._register()
        ModelClient(service.url).set_alias(self.model, "champion", 1)
        spec = {"meta": {"name": "snipped", "framework": "Shell", "cmd": f"echo \"{NAME}\"; echo '$HOME'"},
                "spec": {"Worker": {"resources": "cpu=1"}}}  # fmt: skip
        self.experiment = ExperimentClient(service.url).create_experiment(spec)["experimentId"]
        EnvironmentClient(service.url).create_environment({"name": self.model})
        parameters = [{"name": "word", "value": "a", "required": "false", "description": "said"}]
        of_template = {"meta": {"name": "said", "framework": "Python", "cmd": "echo {{word}}"}, "spec": spec["spec"]}
        TemplateClient(service.url).create_template(
            {"name": self.model, "author": "a", "description": NAME, "parameters": parameters, "experimentSpec": of_template}
        )  # fmt: skip
        notebook = {"meta": {"name": self.model}, "spec": {"resources": "cpu=1"}}
        self.notebook = NotebookClient(service.url).create_notebook(notebook)["notebookId"]
        service.split(self.model, {1: 100}, {})
        example: Any = {"inputs": [[1.5, -2]], "params": {NAME: None, "yes": True}}
        self.all: dict[str, Snippets] = {
            "new experiment": snippets.new_experiment(self.here, spec),
            "experiment": snippets.experiment(self.here, self.experiment),
            "template": snippets.template(self.here, self.model, {"word": "said-b"}),
            "environment": snippets.environment(self.here, self.model),
            "notebook": snippets.notebook(self.here, self.notebook),
            "model without versions": snippets.model(self.here, self.model, None, None),
            "version": snippets.version(self.here, self.model, 1),
            "endpoint": snippets.endpoint(self.here, self.model, 1, answering, example),
            "shared URL": snippets.shared_url(self.here, self.model, answering, example),
        }
        self.loaded = {
            "alias": snippets.model(self.here, self.model, "champion", 1),
            "version": snippets.model(self.here, self.model, None, 1),
        }

    def _register(self) -> None:
        """A version with files, as if an experiment had saved it."""
        run = self.service.run({}, {})
        asked = {"run_id": run}
        uri = httpx.get(f"{self._registry}/runs/get", params=asked, timeout=30).json()["run"]["info"]["artifact_uri"]
        self.files = Path(self.service.home.artifacts) / uri.partition(":")[2].lstrip("/") / "model"
        self.files.mkdir(parents=True)
        (self.files / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: none\n")
        made: dict[str, Any] = {"name": self.model, "source": f"{uri}/model", "run_id": run}
        self.model_id = f"m-{uuid.uuid4().hex}"
        made["tags"] = [{"key": MODEL_ID_TAG, "value": self.model_id}]
        for path, body in (("registered-models", {"name": self.model}), ("model-versions", made)):
            httpx.post(f"{self._registry}/{path}/create", json=body, timeout=30).raise_for_status()

    def deployed(self) -> None:
        """No cluster serves it: say that it does as soon as it is asked for."""

        def runs() -> bool:
            with self.service.database.session(write=True) as session:
                row = session.get(EndpointRow, f"{self.model}-1")
                if row:
                    row.status = "Running"
            return row is not None

        wait_until(runs, 60, "the endpoint is asked for")


@pytest.fixture(scope="module")
def things(service: Service, answering: str) -> Things:
    return Things(service, answering)


def run(things: Things, *command: str, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, env=users_environment() | {"PATH": path} | variables, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_every_snippet_runs(things: Things) -> None:
    waiting = threading.Thread(target=things.deployed)
    waiting.start()
    everything = "\n".join(f"print('## {name}')\n{one.python}" for name, one in things.all.items())
    said = {
        "python": run(things, sys.executable, "-c", everything),
        "cli": run(things, "bash", "-ec", "\n".join(f"echo '## {n}'\n{one.cli}" for n, one in things.all.items())),
    }
    waiting.join()
    for output in said.values():
        parts = {one.partition("\n")[0]: one.partition("\n")[2] for one in output.split("## ")[1:]}
        assert parts.keys() == things.all.keys()
        assert "experiment-" in parts["new experiment"] and "experiment-" in parts["template"]
        assert "experiment-" in parts["environment"] and "Accepted" in parts["experiment"]
        assert things.model in parts["model without versions"] and f"/{things.model}/1/" in parts["version"]
        assert things.model in parts["notebook"]
    words = [one["spec"]["meta"]["cmd"] for one in ExperimentClient(things.service.url).list_experiments()]
    assert words.count(f"echo \"{NAME}\"; echo '$HOME'") == 3 and words.count("echo said-b") == 2
    asked = {"asked": {"inputs": [[1.5, -2]], "params": {NAME: None, "yes": True}}}
    assert said["python"].count(str(asked)) == 2
    for name, one in things.all.items():
        answer = sent(one.curl)
        assert answer.status_code == 200, (name, answer.text)
        if name in ("endpoint", "shared URL"):
            assert answer.json() == asked


@pytest.mark.long
def test_models_are_loaded_by_their_snippets(things: Things) -> None:
    """By an alias and by a number; and in an experiment, which the model's lineage names then."""
    import mlflow.sklearn
    import numpy
    from sklearn.linear_model import LinearRegression

    (things.files / "MLmodel").unlink()
    things.files.rmdir()
    fitted = LinearRegression().fit(numpy.ones((3, 2)), [1, 2, 3])
    signature = mlflow.models.infer_signature(numpy.ones((3, 2)), numpy.ones(3))
    described = mlflow.models.Model(model_id=things.model_id)
    mlflow.sklearn.save_model(
        fitted, str(things.files), signature=signature, pip_requirements=[], mlflow_model=described
    )
    user = things.service.run({}, {}, {EXPERIMENT_TAG: things.experiment})
    own = {"SUBMARINE_TRACKING_URI": f"{things.service.url}/mlflow", "SUBMARINE_RUN_ID": user,
           "SUBMARINE_TRACKING_EXPERIMENT": "0"}  # fmt: skip
    for one in things.loaded.values():
        assert "float64" in run(things, sys.executable, "-c", one.python, **own)
        assert things.model in run(things, "bash", "-ec", one.cli)
        assert sent(one.curl).json()["result"]["version"] == 1
    assert ModelClient(things.service.url).get_lineage(things.model, 1)["usedBy"] == [things.experiment]


def sent(command: str) -> httpx.Response:
    """The answer to what curl would send."""
    words = shlex.split(command)
    assert words.pop(0) == "curl"
    method, headers, body, addresses = "GET", {}, None, []
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "-d":
                body = words.pop(0)
            case address:
                addresses.append(address)
    (url,) = addresses
    return httpx.request(method, url, headers=headers, content=body, timeout=30)
