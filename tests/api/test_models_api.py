"""Registered models and versions over REST, as in Submarine's API, over MLflow's registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.serving.tables import EndpointRow

URL, VERSIONS = "/api/v1/registered-model", "/api/v1/model-version"


@pytest.fixture
def version(api: httpx.Client) -> Any:
    """A model with one version, as MLflow's own client makes one."""
    client = api.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    client.create_registered_model("register")
    client.create_model_version("register", "/somewhere", tags={"submarine.experiment_id": "experiment-1-0001"})
    yield client
    for name in ("register", "renamed"):
        if any(model["name"] == name for model in api.get(URL).json()["result"]):
            client.delete_registered_model(name)


def test_registered_models_as_documented(api: httpx.Client) -> None:
    body = {"name": "example_name", "description": "example_description", "tags": ["123", "456"]}
    assert api.post(URL, json=body).json() == {
        "status": "OK", "code": 200, "success": True, "message": "Create a registered model instance", "result": None, "attributes": {},
    }  # fmt: skip
    found = api.get(f"{URL}/example_name").json()
    assert found["message"] == "Get the registered model instance"
    assert {k: found["result"][k] for k in ("name", "description", "tags")} == body
    assert found["result"] in api.get(URL).json()["result"]
    changes = {"name": "new_name", "description": "new_description"}
    assert api.patch(f"{URL}/example_name", json=changes).json()["message"] == "Update the registered model instance"
    assert api.get(f"{URL}/example_name").status_code == 404
    assert api.get(f"{URL}/new_name").json()["result"]["tags"] == ["123", "456"]  # they followed
    tag = {"name": "new_name", "tag": "789"}
    assert api.post(f"{URL}/tag", params=tag).json()["message"] == "Create a registered model tag instance"
    assert api.get(f"{URL}/new_name").json()["result"]["tags"] == ["123", "456", "789"]
    assert api.delete(f"{URL}/tag", params=tag).json()["message"] == "Delete a registered model tag instance"
    assert api.delete(f"{URL}/tag", params=tag).status_code == 200
    assert api.get(f"{URL}/new_name").json()["result"]["tags"] == ["123", "456"]
    assert api.delete(f"{URL}/new_name").json()["message"] == "Delete the registered model instance"
    assert api.delete(f"{URL}/new_name").status_code == 404


def test_versions_as_documented_and_as_mlflow_shows_them(api: httpx.Client, version: Any) -> None:
    changes = {"name": "register", "version": 1, "description": "new", "currentStage": "production", "dataset": "d"}
    assert api.patch(VERSIONS, json=changes).json()["message"] == "Update the model version instance"
    tag = {"name": "register", "version": 1, "tag": "789"}
    assert api.post(f"{VERSIONS}/tag", params=tag).json()["message"] == "Create a model version tag instance"
    found = api.get(f"{VERSIONS}/register/1").json()["result"]
    wanted = {"name": "register", "version": 1, "description": "new", "currentStage": "Production", "dataset": "d",
              "tags": ["789"], "experimentId": "experiment-1-0001", "source": "/somewhere", "userId": ""}  # fmt: skip
    assert {key: found[key] for key in wanted} == wanted
    assert version.get_model_version("register", "1").description == "new"
    assert api.patch(VERSIONS, json={"name": "register", "version": 1}).status_code == 200  # null leaves all as it is
    assert api.get(f"{VERSIONS}/register").json()["result"] == [found]
    refused = api.delete(f"{URL}/register")
    assert refused.status_code == 409 and "is in Production" in refused.json()["message"]
    api.patch(VERSIONS, json={"name": "register", "version": 1, "currentStage": "Archived"})
    assert api.delete(f"{VERSIONS}/tag", params=tag).json()["message"] == "Delete a model version tag instance"
    assert api.patch(f"{URL}/register", json={"name": "renamed"}).status_code == 200
    assert api.get(f"{VERSIONS}/renamed/1").json()["result"]["currentStage"] == "Archived"
    assert api.delete(f"{VERSIONS}/renamed/1").json()["message"] == "Delete the model version instance"
    assert api.get(f"{VERSIONS}/renamed").json()["result"] == []


def test_what_is_served_or_in_production_is_not_deleted(api: httpx.Client, version: Any, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").touch()
    version.create_model_version("register", str(tmp_path))
    serve = {"modelName": "register", "modelVersion": 2}
    assert api.post("/api/v1/serve", json=serve).status_code == 200
    refusals = (
        ("DELETE", f"{VERSIONS}/register/2", {}),
        ("DELETE", f"{URL}/register", {}),
        ("PATCH", f"{URL}/register", {"json": {"name": "renamed"}}),  # the endpoint has the old name
    )
    changes = {"name": "register", "version": 2, "currentStage": "None"}
    assert api.patch(VERSIONS, json=changes).status_code == 200  # its stage alone does not say whether it is served
    for method, path, arguments in refusals:
        refused = api.request(method, path, **arguments)
        assert refused.status_code == 409
        assert "Version 2 of 'register' is served by the endpoint 'register-2' on cluster 'local'" in refused.text
    assert api.delete(f"{VERSIONS}/register/1").status_code == 200  # the other version is free
    assert api.request("DELETE", "/api/v1/serve", json=serve).status_code == 200
    api.patch(VERSIONS, json=changes | {"currentStage": "Production"})
    for method, path, arguments in refusals[:2]:
        refused = api.request(method, path, **arguments)
        assert refused.status_code == 409 and "Version 2 of 'register' is in Production" in refused.text
    assert api.get(f"{VERSIONS}/register/2").status_code == 200
    api.patch(VERSIONS, json=changes)
    assert api.delete(f"{VERSIONS}/register/2").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "said"),
    [
        ("GET", f"{URL}/none", {}, 404, "none"),
        ("PATCH", f"{URL}/none", {"json": {"description": "d"}}, 404, "none"),
        ("PATCH", VERSIONS, {"json": {"name": "none", "version": 1}}, 404, "none"),
        ("PATCH", VERSIONS, {"json": {"name": "register", "version": 0}}, 400, "version"),
        ("PATCH", VERSIONS, {"json": {"name": "register", "version": 1, "currentStage": "Odd"}}, 400, "unknown stage 'Odd'"),
        ("POST", f"{URL}/tag", {"params": {"name": "register"}}, 400, "tag: is required"),
        ("POST", f"{URL}/tag", {"params": {"name": "register", "tag": "x" * 1000}}, 400, "cannot be a tag"),
        ("POST", f"{URL}/tag", {"params": {"name": "none", "tag": "x"}}, 404, "none"),
        ("DELETE", f"{VERSIONS}/tag", {"params": {"name": "register", "version": "x", "tag": "t"}}, 400, "version"),
        ("GET", f"{VERSIONS}/register/x", {}, 400, "version"),
        ("GET", f"{VERSIONS}/none", {}, 404, "none"),
        ("DELETE", f"{VERSIONS}/register/7", {}, 404, "7"),
        ("POST", URL, {"json": {"name": "a/b"}}, 400, "cannot be the name"),
        ("POST", URL, {"json": {"name": "register"}}, 409, "register"),
    ],
)  # fmt: skip
def test_bad_requests(
    api: httpx.Client, version: Any, method: str, path: str, arguments: dict[str, Any], status: int, said: str
) -> None:
    answer = api.request(method, path, **arguments)
    assert answer.status_code == status and said in answer.json()["message"], answer.json()


def test_a_version_beyond_any_database_is_refused(api: httpx.Client) -> None:
    huge = 6797441475002484391936
    for method, path in (
        ("GET", f"model-version/m/{huge}"),
        ("POST", f"model-version/tag?name=m&tag=t&version={huge}"),
    ):
        answer = api.request(method, f"/api/v1/{path}")
        assert answer.status_code == 400 and "version" in answer.json()["message"]


def test_a_changed_endpoint_is_updating_at_once_and_the_wish_an_event(
    api: httpx.Client, version: Any, tmp_path: Path
) -> None:
    (tmp_path / "MLmodel").touch()
    for _ in range(2):
        version.create_model_version("register", str(tmp_path))
    database = api.app.state.platform.database  # type: ignore[attr-defined]
    body = {"modelName": "register", "modelVersion": 3, "resources": "cpu=1"}
    one = "/api/v1/serve/register/3"

    def now_is(status: str) -> None:
        """As the reconciler would note it."""
        with database.session(write=True) as session:
            session.get(EndpointRow, "register-3").status = status

    def told() -> list[tuple[str, str, str, str]]:
        found = api.get(one).json()["result"]["events"]
        return [(e["reason"], e["message"], e["from"], e["to"]) for e in found]

    assert api.post("/api/v1/serve", json=body).json()["result"]["status"] == "Creating"
    assert api.patch(one, json={"replicas": 2}).json()["result"]["status"] == "Creating"  # it has never answered
    now_is("Running")
    assert api.post("/api/v1/serve", json=body | {"replicas": 2}).json()["result"]["status"] == "Running"  # is so
    assert api.patch(one, json={"replicas": 3}).json()["result"]["status"] == "Updating"
    now_is("Running")
    changed = api.post("/api/v1/serve", json=body | {"replicas": 3, "resources": "cpu=2"}).json()["result"]
    assert (changed["status"], changed["resources"]) == ("Updating", "cpu=2")
    sized = api.patch(one, json={"resources": "cpu=2,memory=512Mi"}).json()["result"]
    assert (sized["replicas"], sized["resources"]) == (3, "cpu=2,memory=512Mi")
    assert api.patch(one, json={"replicas": 2}).json()["result"]["resources"] == "cpu=2,memory=512Mi"
    now_is("Failed")
    asked = body | {"replicas": 2, "resources": "cpu=2,memory=0.5Gi"}
    assert api.post("/api/v1/serve", json=asked).json()["result"]["status"] == "Creating"
    admission = api.app.state.platform.admission  # type: ignore[attr-defined]
    assert admission.in_use("local").memory == 2**30
    for wrong in ({}, {"resources": "memory=lots"}):
        assert api.patch(one, json=wrong).status_code == 400
    assert told()[1:] == [
        ("Scaled", "A user asked for 2 replicas instead of 1.", "Creating", "Creating"),
        ("Scaled", "A user asked for 3 replicas instead of 2.", "Running", "Updating"),
        ("Changed", "A user asked for 2 CPUs each instead of 1.", "Running", "Updating"),
        ("Changed", "A user asked for 0.5 GiB of memory each instead of 0.", "Updating", "Updating"),
        ("Scaled", "A user asked for 2 replicas instead of 3.", "Updating", "Updating"),
        ("Asked", "A user asked for it again.", "Failed", "Creating"),
    ]
    api.request("DELETE", "/api/v1/serve", json=body)


def test_a_signature_without_files(api: httpx.Client) -> None:
    api.post("/mlflow/api/2.0/mlflow/registered-models/create", json={"name": "hollow"})
    run = api.post("/mlflow/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    source = f"{run['artifact_uri']}/nothing"
    made = api.post(
        "/mlflow/api/2.0/mlflow/model-versions/create",
        json={"name": "hollow", "source": source, "run_id": run["run_id"]},
    )
    assert made.status_code == 200, made.text
    signature = api.get("/api/v1/model-version/hollow/1/signature")
    assert signature.status_code in (404, 409), signature.text
    for path in ("/api/v1/model-version/hollow", "/api/v1/model-version/hollow/1", "/api/v1/registered-model/hollow"):
        assert api.get(path).status_code == 200


MLMODEL = """\
flavors: {python_function: {loader_module: x}}
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "long", "name": "rooms", "required": false}]'
  outputs: null
saved_input_example_info: {serving_input_path: "%s"}
"""
# Merge keys: each level holds the one before it ten times.
MERGES = "signature:\n a0: &a0 {x: 1}\n" + "".join(
    f" a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


def test_a_model_names_no_file_but_its_own_and_is_no_large_document(api: httpx.Client) -> None:
    """What a model says of itself is written by whoever saved it."""
    api.post("/mlflow/api/2.0/mlflow/registered-models/create", json={"name": "said"})
    run = api.post("/mlflow/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:").strip("/")
    files = f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{root}"
    secret, own = '{"inputs": "of another"}', '{"inputs": [[1.0], [2.0]]}'
    assert api.put(f"{files}/secret.json", content=secret).status_code == 200
    assert api.put(f"{files}/model/own.json", content=own).status_code == 200
    outside = api.app.state.platform.settings.layout.root / "secret.json"  # type: ignore[attr-defined]
    outside.write_text(secret)
    body = {"name": "said", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    assert api.post("/mlflow/api/2.0/mlflow/model-versions/create", json=body).status_code == 200

    def asked(mlmodel: str) -> httpx.Response:
        assert api.put(f"{files}/model/MLmodel", content=mlmodel).status_code == 200
        return api.get(f"{VERSIONS}/said/1/signature")

    found = asked(MLMODEL % "own.json").json()["result"]
    assert found["example"] == {"inputs": [[1.0]]}
    assert [(one["name"], one["required"]) for one in found["inputs"]] == [("age", True), ("rooms", False)]
    for place in (
        "../secret.json",
        str(outside),
        f"file://{outside}",
        "x/../../secret.json",
        "../" * 20 + str(outside)[1:],
    ):
        refused = asked(MLMODEL % place)
        assert refused.status_code == (200 if place.startswith("file:") else 409), place  # a name as any other
        assert "of another" not in refused.text, place
    # Without its example a model has one of zeros.
    for place in ("gone.json", ""):
        assert asked(MLMODEL % place).json()["result"]["example"] == {"inputs": {"age": [0.0], "rooms": [0]}}
    for large in (MERGES, "- a\n" * 3_000_000, f"signature: {'[' * 100_000}", "signature: *b", "signature: 5"):
        assert asked(large).status_code == 409, large[:20]
    shared = "metadata:\n  p: &id001 [1]\n  q: *id001\n"  # as PyYAML writes what a model holds twice
    assert asked(shared + MLMODEL % "own.json").json()["result"]["example"] == {"inputs": [[1.0]]}
