"""Apache Submarine's own published SDK and command, in an environment of their own, against a running service.

`make test` installs them into .venv-compat; without it these tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.client.models import ServeClient
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray

BIN = Path(__file__).parents[2] / ".venv-compat" / "bin"
SCRIPT = Path(__file__).parent / "published_sdk.py"


def drive(platform: RunningPlatform, group: str, *arguments: str) -> dict[str, Any]:
    if not (BIN / "submarine").exists():
        pytest.skip("apache-submarine is not installed in .venv-compat; `make test` installs it")
    done = subprocess.run(
        [str(BIN / "python"), str(SCRIPT), group, platform.url, *arguments], env=platform.env, capture_output=True, text=True, timeout=180
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout.rpartition("RESULT ")[2]))


Command = Callable[..., str]


@pytest.fixture
def command(platform: RunningPlatform) -> Iterator[Command]:
    """The published command, pointed at the platform; what it printed."""
    if not (BIN / "submarine").exists():
        pytest.skip("apache-submarine is not installed in .venv-compat; `make test` installs it")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(BIN / "submarine"), *arguments], env={**platform.env, "COLUMNS": "200"}, capture_output=True, text=True, timeout=60
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "initialized" in run("config", "init")
    run("config", "set", "connection.hostname", "127.0.0.1")
    run("config", "set", "connection.port", str(platform.port))
    yield run
    run("config", "init")  # it keeps its settings inside the installed package


def test_experiment_client(platform: RunningPlatform) -> None:
    found = drive(platform, "experiments")
    id = found["created"]["experimentId"]
    assert found["created"]["status"] == "Accepted" and found["got"]["status"] == found["got_async"] == "Succeeded"
    assert found["got"]["spec"]["spec"]["Worker"]["resourceMap"] == {"cpu": "0.5", "memory": "64M"}
    assert id in found["listed"] and id in found["listed_succeeded"] and found["listed_async"] >= 1
    assert found["log"]["logContent"] == [{"podName": f"{id}-worker-0", "podLog": ["from the published SDK"]}]
    assert id in found["logs"]
    assert found["patched"] == "Accepted"
    assert found["artifacts"] == []  # it saved no model
    assert found["mlflow"] == {"available": True, "url": "/mlflow/"}
    assert found["tensorboard"] == {"available": True, "url": "/tensorboard/"}
    assert "Pong" in found["ping"]
    assert found["deleted"]["status"] == found["deleted_async"] == "Deleted"
    assert found["deleted"]["finishedTime"] is None
    assert found["unknown"][0] == 404 and "Not found experiment" in found["unknown"][1]
    assert found["invalid"][0] == 400 and "meta.framework" in found["invalid"][1]


def test_environment_client(platform: RunningPlatform) -> None:
    found = drive(platform, "environments")
    spec = found["created"]["environmentSpec"]
    assert found["got"] == found["created"] and found["got_async"] == found["created"]["environmentId"]
    assert found["clash"][0] == 409
    assert {"notebook-env", "compat-env"} <= set(found["listed"]) and found["listed_async"] == len(found["listed"])
    assert found["updated"]["environmentSpec"] == found["deleted"]["environmentSpec"] == {**spec, "description": "new"}
    assert found["unknown"][0] == 404
    assert found["created_async"] == "compat-async" and found["deleted_async"]


def test_template_api(platform: RunningPlatform) -> None:
    found = drive(platform, "templates")
    assert found["got"] == found["created"]
    assert found["created"]["experimentTemplateSpec"]["parameters"][0]["value"] == "hello"
    assert "compat-template" in found["listed"] and found["deleted"] == "compat-template"
    assert (found["submitted"], found["updated"]) == ("echo bye", "b")
    assert found["unknown"][0] == 404


def test_model_version_and_serve_apis(platform: RunningPlatform) -> None:
    found = drive(platform, "models")
    assert (found["got"]["description"], found["got"]["tags"]) == ("d", ["t1", "t2"])
    assert found["renamed"]["tags"] == ["t2"] and "compat-renamed" in found["listed"]
    assert found["versions"] == []
    for refused in ("unknown_version", "unknown_update", "serve_unknown", "unserve_unknown", "deleted"):
        assert found[refused][0] == 404, refused
    assert all("Pong" in ping for ping in found["pings"])


@pytest.mark.long
def test_a_version_registered_and_served_by_the_published_apis(
    platform: RunningPlatform, sklearn_experiment: str, command: Command
) -> None:
    found = drive(platform, "versions", sklearn_experiment)
    assert found["got"]["experimentId"] == sklearn_experiment and found["listed"] == [1]
    assert (found["got"]["tags"], found["got"]["dataset"], found["got"]["currentStage"]) == (["t2"], "houses", "None")
    assert found["served"]["url"] == found["again"]["url"] and found["stage_served"] == "Production"
    assert found["unserved_twice"][0] == 404 and found["stage_after"] == "None"
    assert "compat-version/1/v2/models/compat-version/infer" in command("create", "serve", "compat-version", "1")
    command("delete", "serve", "compat-version", "1")
    assert [e["status"] for e in ServeClient(platform.url).list_serves() if e["modelName"] == "compat-version"] in (
        [],
        ["Deleting"],
    )
    assert drive(platform, "remove_version", sklearn_experiment)["left"] == []


def test_notebook_client(platform: RunningPlatform) -> None:
    found = drive(platform, "notebooks")
    id = found["created"]["notebookId"]
    assert found["created"]["status"] == "creating" and found["created"]["url"] == "/notebook/default/compat-nb/lab"
    assert found["got"]["status"] == found["got_async"] == "running"
    assert found["got"]["spec"]["environment"]["name"] == "notebook-env"
    assert id in found["listed"] and id in found["listed_async"] and id not in found["of_others"]
    assert found["clash"][0] == 409 and found["unknown"][0] == 404
    assert found["deleted"]["status"] == found["deleted_async"] == "terminating"
    assert found["invalid"][0] == 400 and "meta.name" in found["invalid"][1]
    assert "Pong" in found["ping"]


@pytest.mark.long
def test_the_published_command(platform: RunningPlatform, command: Command) -> None:
    id = platform.submit("echo hello")
    platform.ended(id)
    notebook = {
        "meta": {"name": "by-command", "ownerId": "e9ca23d68d884d4ebb19d07889727dae"},  # the documents' own
        "environment": {"name": "notebook-env"},
        "spec": {"resources": "cpu=0.5"},
    }
    call = platform.client.service.call
    notebook_id = call("POST", "/api/v1/notebook", json=notebook)["notebookId"]
    assert f"connection.port={platform.port}" in command("config", "get", "connection.port")
    assert str(platform.port) in command("config", "list")
    assert id in command("list", "experiment")
    assert "Succeeded" in command("get", "experiment", id)
    assert f"Experiment(id = {id} ) deleted" in command("delete", "experiment", id, "--wait")
    assert "notebook-env" in command("list", "environment")
    assert "submarine_jupyter_py3" in command("get", "environment", "notebook-env")
    call("POST", "/api/v1/environment", json={"name": "by-command"})
    assert "Environment(name = by-command ) deleted" in command("delete", "environment", "by-command")
    listed = command("list", "notebook")
    assert all(text in listed for text in (notebook_id, "by-command", "notebook-env", "cpu=0.5"))
    assert '"/notebook/default/by-command/lab"' in command("get", "notebook", notebook_id)
    assert f"Notebook(id = {notebook_id} ) deleted" in command("delete", "notebook", notebook_id)
    assert "Not found experiment" in command("get", "experiment", id)  # it exits with 0 on errors too
    for not_its_own in (("list", "serve"), ("get", "serve", "model", "1")):
        assert "not supported" in command(*not_its_own)
    command("sandbox", "start")
    command("sandbox", "delete")
