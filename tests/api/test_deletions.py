"""Deletions leave a tombstone."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import httpx
import pytest

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tombstones import Tombstones, bury
from submarine_ray.core.database import Database
from submarine_ray.spec.answers.base import CursorPage
from submarine_ray.spec.examples import EXAMPLES
from tests.conftest import spec

BASE = "/api/v1"


def told(api: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    return list(api.get(f"{BASE}/deletion", params=asked).json()["result"])


def test_what_is_deleted_is_told_with_who_did_it(api: httpx.Client) -> None:
    name = f"gone-{uuid.uuid4().hex[:8]}"
    experiment = api.post(f"{BASE}/experiment", json=spec()).json()["result"]["experimentId"]
    notebook = copy.deepcopy(EXAMPLES["NotebookSpec"])
    notebook["meta"]["name"] = name
    notebook_id = api.post(f"{BASE}/notebook", json=notebook).json()["result"]["notebookId"]
    made = {
        "environment": {"name": name, "dockerImage": "x"},
        "template": copy.deepcopy(EXAMPLES["TemplateSpec"]) | {"name": name},
        "cluster": {"name": name, "kind": "ray", "address": "http://127.0.0.1:9"},
        "registered-model": {"name": name},
    }
    for path, body in made.items():
        answer = api.post(f"{BASE}/{path}", json=body)
        assert answer.status_code == 200, answer.text
    paths = [f"experiment/{experiment}", f"notebook/{notebook_id}", *(f"{path}/{name}" for path in made)]
    for path in paths:
        answer = api.delete(f"{BASE}/{path}")
        assert answer.status_code == 200, answer.text
        assert api.delete(f"{BASE}/{path}").status_code == 404
    found = [(one["kind"], one["id"]) for one in told(api, limit=6)]
    assert found == [
        ("model", name), ("cluster", name), ("template", name), ("environment", name), ("notebook", notebook_id),
        ("experiment", experiment),
    ]  # fmt: skip
    assert {one["byKind"] for one in told(api, limit=6)} == {"administrator"}
    assert told(api, kind="notebook", limit=1)[0]["name"] == name
    first = api.get(f"{BASE}/deletion", params={"limit": 4}).json()
    rest = told(api, limit=2, cursor=first["attributes"]["nextCursor"])
    assert [one["kind"] for one in rest] == ["notebook", "experiment"]
    assert api.get(f"{BASE}/deletion", params={"kind": "planet"}).status_code == 400
    assert api.get(f"{BASE}/deletion", params={"cursor": "x"}).status_code == 400


@pytest.mark.parametrize("way", ["api", "ajax-api"])
def test_what_is_deleted_by_mlflows_own_api_is_told_too(api: httpx.Client, way: str) -> None:
    name = f"by-mlflow-{uuid.uuid4().hex[:8]}"
    mlflow = f"/mlflow/{way}/2.0/mlflow"

    def call(method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = api.request(method, f"{mlflow}/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    experiment = call("POST", "experiments/create", name=name)["experiment_id"]
    run = call("POST", "runs/create", experiment_id=experiment)["run"]["info"]["run_id"]
    call("POST", "registered-models/create", name=name)
    call("POST", "model-versions/create", name=name, source=f"runs:/{run}/model", run_id=run)
    artifact = f"{experiment}/{run}/artifacts/note.txt"
    files = f"/mlflow/{way}/2.0/mlflow-artifacts/artifacts"
    assert api.put(f"{files}/{artifact}", content=b"x").status_code == 200
    assert api.delete(f"{files}/{artifact}").status_code == 200
    call("DELETE", "model-versions/delete", name=name, version="1")
    call("DELETE", "registered-models/delete", name=name)
    call("POST", "runs/delete", run_id=run)
    call("POST", "experiments/delete", experiment_id=experiment)
    found = [(one["kind"], one["id"], one["name"], one["byKind"]) for one in told(api, limit=5)]
    assert found == [
        ("mlflow-experiment", experiment, experiment, "administrator"), ("run", run, run, "administrator"),
        ("model", name, name, "administrator"), ("model-version", f"{name}/1", name, "administrator"),
        ("artifact", artifact, artifact, "administrator"),
    ]  # fmt: skip
    assert api.post(f"{mlflow}/runs/delete", json={"run_id": "none"}).status_code == 404
    assert told(api, limit=1)[0]["kind"] == "mlflow-experiment"


def test_a_deletion_that_is_undone_leaves_none(tmp_path: Any) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    act_for(Principal(PrincipalKind.NOTEBOOK, "notebook-1"))
    with pytest.raises(ZeroDivisionError), database.session(write=True) as session:
        bury(session, "environment", "kept")
        raise ZeroDivisionError
    with database.session(write=True) as session:
        bury(session, "environment", "gone", "n" * 1000)
    act_for(None)
    tombstones = Tombstones(database)
    tombstones.bury("package", "package://a")
    found, attributes = tombstones.page(None, 10, None)
    assert [(one.id, one.by, one.by_kind) for one in found] == [
        ("package://a", "service", "service"), ("gone", "notebook-1", "notebook"),
    ]  # fmt: skip
    assert isinstance(attributes, CursorPage) and attributes.next_cursor is None
    database.close()
