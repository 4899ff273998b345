"""Aliases of models over REST, as MLflow's own registry keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from submarine_ray.cli import models, resources
from submarine_ray.cli.main import app
from submarine_ray.client.errors import ApiError

URL, VERSIONS, SERVE = "/api/v1/registered-model", "/api/v1/model-version", "/api/v1/serve"


@pytest.fixture
def mlflow(api: httpx.Client, tmp_path: Path) -> Iterator[Any]:
    """MLflow's client, and a model of two versions."""
    (tmp_path / "MLmodel").touch()
    client = api.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    client.create_registered_model("aliased")
    for _ in range(2):
        client.create_model_version("aliased", str(tmp_path))
    yield client
    for one in api.get(SERVE).json()["result"]:
        api.request("DELETE", SERVE, json={"modelName": one["modelName"], "modelVersion": one["modelVersion"]})
    for name in ("aliased", "renamed"):
        if any(model["name"] == name for model in api.get(URL).json()["result"]):
            client.delete_registered_model(name)


def test_an_alias_is_set_moved_and_removed(api: httpx.Client, mlflow: Any) -> None:
    champion = f"{URL}/aliased/alias/champion"
    assert "aliases" not in api.get(f"{URL}/aliased").json()["result"]
    assert api.put(champion, json={"version": 1}).json()["result"]["aliases"] == {"champion": 1}
    api.put(f"{URL}/aliased/alias/old", json={"version": 1})
    assert api.put(champion, json={"version": 2}).json()["result"]["aliases"] == {"champion": 2, "old": 1}
    assert mlflow.get_model_version_by_alias("aliased", "champion").version in (2, "2")  # as MLflow's clients see it
    assert api.get(champion).json()["result"] == api.get(f"{VERSIONS}/aliased/2").json()["result"]
    listed = api.get(f"{VERSIONS}/aliased").json()["result"]
    assert [one["aliases"] for one in listed] == [["old"], ["champion"]]
    assert [one["aliases"] for one in api.get(URL).json()["result"] if one["name"] == "aliased"] == [
        {"champion": 2, "old": 1}
    ]
    api.patch(f"{URL}/aliased", json={"name": "renamed"})
    assert api.get(f"{URL}/renamed").json()["result"]["aliases"] == {"champion": 2, "old": 1}  # they followed
    assert api.delete(f"{URL}/renamed/alias/champion").json()["result"]["aliases"] == {"old": 1}
    assert api.delete(f"{VERSIONS}/renamed/1").status_code == 200
    assert "aliases" not in api.get(f"{URL}/renamed").json()["result"]  # it went with its version


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "aliased/alias/none", None, 404, "has no alias 'none'; it has: kept"),
        ("DELETE", "aliased/alias/none", None, 404, "has no alias 'none'"),
        ("GET", "nobody/alias/kept", None, 404, "nobody"),
        ("PUT", "nobody/alias/kept", {"version": 1}, 404, "nobody"),
        ("PUT", "aliased/alias/kept", {"version": 7}, 404, "7"),
        ("PUT", "aliased/alias/kept", {"version": 0}, 400, "version"),
        ("PUT", "aliased/alias/kept", {}, 400, "version"),
        ("PUT", "aliased/alias/a b", {"version": 1}, 400, "cannot be an alias: use"),
        ("PUT", f"aliased/alias/{'x' * 256}", {"version": 1}, 400, "cannot be an alias: use"),
        ("PUT", "aliased/alias/Latest", {"version": 1}, 400, "reads as a version"),
        ("PUT", "aliased/alias/v3", {"version": 1}, 400, "reads as a version"),
        ("PUT", "aliased/alias/3", {"version": 1}, 400, "reads as a version"),
    ],
)  # fmt: skip
def test_bad_requests(
    api: httpx.Client, mlflow: Any, method: str, path: str, body: dict[str, Any] | None, status: int, said: str
) -> None:
    api.put(f"{URL}/aliased/alias/kept", json={"version": 1})
    answer = api.request(method, f"{URL}/{path}", json=body)
    assert answer.status_code == status and said in answer.json()["message"], answer.json()
    assert api.get(f"{URL}/aliased").json()["result"]["aliases"] == {"kept": 1}


def test_an_endpoint_is_made_of_an_alias_and_keeps_its_version(api: httpx.Client, mlflow: Any) -> None:
    api.put(f"{URL}/aliased/alias/champion", json={"version": 1})
    asked = {"modelName": "aliased", "modelAlias": "champion"}
    made = api.post(SERVE, json=asked).json()["result"]
    assert (made["name"], made["modelVersion"]) == ("aliased-1", 1)
    api.put(f"{URL}/aliased/alias/champion", json={"version": 2})
    assert api.get(f"{SERVE}/aliased/1").json()["result"]["modelVersion"] == 1
    refused = api.request("DELETE", SERVE, json=asked)  # of the version that it names now
    assert refused.status_code == 404 and "Version 2 of model 'aliased' is not served" in refused.text
    for body, status, said in (
        ({"modelName": "aliased"}, 400, "either modelVersion or modelAlias"),
        (asked | {"modelVersion": 1}, 400, "either modelVersion or modelAlias"),
        ({"modelName": "aliased", "modelAlias": "none"}, 404, "has no alias 'none'; it has: champion"),
    ):
        answer = api.post(SERVE, json=body)
        assert answer.status_code == status and said in answer.json()["message"], answer.json()


def test_the_command_line_sets_aliases_and_promotes(
    api: httpx.Client, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Here:
        """The service in this process, as the command line calls one."""

        def call(self, method: str, path: str, **arguments: Any) -> Any:
            answer = api.request(method, path, **arguments)
            if answer.status_code != 200:
                raise ApiError(answer.json()["message"], answer.status_code)
            return answer.json()["result"]

    for module in (models, resources):
        monkeypatch.setattr(module, "connect", Here)

    def run(*command: str) -> str:
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    def refused(*command: str) -> str:
        return str(CliRunner().invoke(app, command).exception)

    assert "version 1. Endpoints keep" in run("create", "alias", "aliased", "champion", "1")
    run("create", "alias", "aliased", "challenger", "2")
    assert json.loads(run("list", "alias", "aliased", "-o", "json")) == {"challenger": 2, "champion": 1}
    assert "aliased version 1: None -> Production" in run("promote", "aliased@champion")
    moved = run("promote", "models:/aliased@challenger", "--archive")
    assert "version 2: None -> Production" in moved and "version 1: Production -> Archived" in moved
    assert json.loads(run("get", "version", "aliased@champion", "-o", "json"))["currentStage"] == "Archived"
    listed = {
        one["version"]: one["currentStage"] for one in json.loads(run("list", "version", "aliased", "-o", "json"))
    }
    assert listed == {1: "Archived", 2: "Production"}
    run("delete", "alias", "aliased", "challenger")
    assert "has no alias 'challenger'" in refused("get", "alias", "aliased", "challenger")
    assert "names no version" in refused("promote", "aliased")
    assert "unknown stage 'Odd'" in refused("promote", "aliased", "1", "--stage", "Odd")
    assert "7" in refused("promote", "aliased", "7")
    run("promote", "aliased", "2", "--stage", "None")
