"""What the tokens of attempts, notebooks and endpoints open, on every route there is; and that scripts notice nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from submarine_ray.access import reach
from submarine_ray.access.principals import PrincipalKind
from submarine_ray.app import build
from submarine_ray.core.clock import now_ms
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.settings import Settings
from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.platform import Platform
from submarine_ray.runner import environment
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.examples import EXAMPLES
from submarine_ray.spec.launch import BEGIN_VARIABLE, BEGUN_BEFORE_STATUS, TICKET_VARIABLE, Launch, Replica
from submarine_ray.spec.tags import EXPERIMENT_TAG, SWEEP_TAG
from tests.conftest import free_port, mlflow_of_its_own, spec, wait_until
from tests.service import own_run

pytestmark = pytest.mark.own_mlflow

ADMINISTRATOR = "0d1c2b3a49586776859403a2b1c0dfee"
MLFLOW = "/mlflow/api/2.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Experiment:
    """One with a run, and the token of its first attempt."""

    id: str
    run_id: str
    mlflow_id: str
    token: str


class Service:
    """The app on a real socket, and clients with one token or another."""

    def __init__(self, platform: Platform, url: str) -> None:
        self.platform = platform
        self.url = url
        self.admin = self.client(ADMINISTRATOR)

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def experiment(self, name: str) -> Experiment:
        meta = {"name": name, "framework": "Python", "cmd": "python train.py"}
        id = self.admin.post("/api/v1/experiment", json=spec(meta=meta)).json()["result"]["experimentId"]
        made = own_run(self.platform.tracking, id, name)
        with self.platform.database.session(write=True) as session:
            row = session.get(ExperimentRow, id)
            row.run_id, row.mlflow_experiment_id = made.run_id, made.mlflow_experiment_id
        token = self.platform.tokens.issue(PrincipalKind.ATTEMPT, id)
        return Experiment(id, made.run_id, made.mlflow_experiment_id, token)

    def change(self, table: Any, key: str, **values: Any) -> None:
        with self.platform.database.session(write=True) as session:
            row = session.get(table, key)
            for name, value in values.items():
                setattr(row, name, value)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port = free_port()
    with mlflow_of_its_own():
        yield from _served(port, tmp_path_factory)


def _served(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    app = build(Settings(home=tmp_path_factory.mktemp("scopes"), port=port, token=ADMINISTRATOR))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 60, "the service answers")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reach, "KNOWN_SECONDS", 0.2)  # nobody waits for what is remembered
        yield Service(app.state.platform, f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def own(service: Service) -> Experiment:
    return service.experiment("own")


@pytest.fixture(scope="module")
def other(service: Service) -> Experiment:
    return service.experiment("other")


# What an attempt may ask of our API with its own id in it; with another's only what is the same for all.
OPEN_TO_ALL = {
    ("GET", "/health"), ("GET", "/ready"), ("GET", "/api/v1/experiment/ping"), ("GET", "/api/v1/registered-model"),
    ("GET", "/api/v1/registered-model/{name}"), ("GET", "/api/v1/model-version/{name}"),
    ("GET", "/api/v1/model-version/{name}/{version}"), ("GET", "/api/v1/model-version/ping"), ("GET", "/api/v1/registered-model/ping"),
    ("GET", "/api/v1/model-version/{name}/{version}/signature"), ("GET", "/api/v1/registered-model/{name}/alias/{alias}"),
}  # fmt: skip
OPEN_TO_OWN = {
    ("GET", "/api/v1/experiment/{experiment_id}"), ("GET", "/api/v1/experiment/{experiment_id}/end"),
    ("GET", "/api/v1/experiment/{experiment_id}/attempts"), ("GET", "/api/v1/experiment/{experiment_id}/provenance"),
    ("POST", "/api/v1/experiment/{experiment_id}/provenance"),
    ("GET", "/api/v1/experiment/{experiment_id}/events"), ("GET", "/api/v1/experiment/{experiment_id}/metrics"),
    ("GET", "/api/v1/experiment/{experiment_id}/params"), ("GET", "/api/v1/experiment/{experiment_id}/trials"),
    ("GET", "/api/v1/experiment/{experiment_id}/trials/{trial_id}"),
    ("GET", "/api/v1/experiment/{experiment_id}/artifact"), ("GET", "/api/v1/experiment/logs/{experiment_id}"),
    ("GET", "/api/v1/experiment/logs/{experiment_id}/stream"), ("GET", "/api/v1/experiment/artifacts/{experiment_id}"),
    ("POST", "/api/v1/experiment/{experiment_id}/wishes"),
    ("POST", "/api/v1/experiment/{experiment_id}/begin"), ("POST", "/api/v1/model-version"),
    ("POST", "/api/v1/run/{run_id}/batch"), ("GET", "/api/v1/run/{run_id}/batch"),
    ("GET", "/api/v1/experiment/logs/{experiment_id}/text"), ("GET", "/api/v1/experiment/logs/{experiment_id}/lines"),
    ("GET", "/api/v1/experiment/logs/{experiment_id}/matches"),
    ("GET", "/api/v1/experiment/{experiment_id}/media"), ("GET", "/api/v1/experiment/{experiment_id}/media/keys"),
    ("GET", "/api/v1/experiment/{experiment_id}/media/{name}"), ("POST", "/api/v1/run/{run_id}/media"),
}  # fmt: skip


def operations(service: Service) -> Iterator[tuple[str, str]]:
    for path, item in service.admin.get("/openapi.json").json()["paths"].items():
        for method in item:
            yield method.upper(), path


def asked(service: Service, http: httpx.Client, method: str, path: str, of: Experiment) -> int:
    """The status of a call with the experiment's ids in all of its places; its body is not even looked at."""
    filled = path.replace("{experiment_id}", of.id).replace("{run_id}", of.run_id).replace("{version}", "1")
    filled = re.sub(r"\{[^}]+\}", "x", filled)
    body = {"experimentId": of.id, "name": "m"} if method in ("POST", "PUT", "PATCH") else None
    params = (
        {"submission": of.id, "run": "r", "samples": 1, "wait": 0}
        if path.endswith(("/begin", "/provenance", "/wishes"))
        else {"path": "x", "wait": "0"}
    )
    with http.stream(method, filled, params=params, json=body) as answer:
        return answer.status_code


def test_every_route_of_our_api_is_closed_but_what_is_listed(
    service: Service, own: Experiment, other: Experiment
) -> None:
    http = service.client(own.token)
    found = set(operations(service))
    assert found >= OPEN_TO_ALL and len(found) > 60
    opened_to_own = {one for one in found if asked(service, http, *one, own) != 403}
    opened_to_other = {one for one in found if asked(service, http, *one, other) != 403}
    assert opened_to_other == OPEN_TO_ALL
    assert opened_to_own == OPEN_TO_ALL | OPEN_TO_OWN
    assert service.admin.get(f"/api/v1/experiment/{other.id}").json()["result"]["status"] == "Accepted"
    assert service.admin.get(f"/api/v1/experiment/{own.id}").json()["result"]["status"] == "Accepted"


def test_pages_dashboards_and_other_mounts_are_closed(service: Service, own: Experiment) -> None:
    http = service.client(own.token)
    for path in ("/", "/docs", "/metrics", "/tensorboard/", "/ray/local/", "/notebook/x/y/lab", "/mlflow/", "/openapi.json",
                 "/mlflow/ajax-api/2.0/mlflow/experiments/search", "/mlflow/graphql", "/v1/openapi.json",
                 "/mlflow//api/2.0/mlflow/runs/get", "/api/v1/experiment/"):  # fmt: skip
        answer = http.get(path)
        assert answer.status_code == 403, path
    said = http.post(f"/api/v1/experiment/{own.id}/stop").json()["message"]
    assert own.id in said and "SUBMARINE_TOKEN" in said and "run of its own experiment" in said


def test_every_route_of_mlflows_is_closed_but_what_is_listed(
    service: Service, own: Experiment, other: Experiment
) -> None:
    from mlflow.server import handlers

    from submarine_ray.access.mlflow_scope import REGISTRY

    http = service.client(own.token)
    service.platform.tracking.wait_ready()
    open_ones = {(method, f"{MLFLOW}/{route}") for method, route in REGISTRY}
    # Made below the attempt's own run, or narrowed to its own, or told of all alike.
    open_ones |= {("POST", f"{MLFLOW}/{route}") for route in
                  ("runs/create", "runs/search", "experiments/create", "experiments/search", "logged-models", "logged-models/search",
                   "registered-models/create", "registered-models/get-latest-versions")}  # fmt: skip
    open_ones |= {("GET", f"{MLFLOW}/experiments/get"), ("GET", f"{MLFLOW}/experiments/get-by-name"),
                  ("GET", "/mlflow/api/3.0/mlflow/server-info")}  # fmt: skip
    routes = {
        (method, path if path.startswith("/mlflow") else f"/mlflow{path}")
        for path, _, methods in handlers.get_endpoints()
        for method in methods
    }
    assert len(routes) > 200 and open_ones <= routes
    for method, path in sorted(routes - open_ones):
        filled = re.sub(r"<path:[^>]+>", f"other/{other.run_id}/artifacts/x.txt", path)
        filled = re.sub(r"<[^>]+>", other.run_id, filled)
        body = {"run_id": other.run_id, "path": f"other/{other.run_id}/artifacts", "name": "m", "version": "1"}
        has_body = method not in ("GET", "DELETE")
        answer = http.request(method, filled, params=None if has_body else body, json=body if has_body else None)
        assert answer.status_code == 403, (method, path, answer.status_code, answer.text[:200])


def test_another_run_is_closed_however_it_is_named(service: Service, own: Experiment, other: Experiment) -> None:
    http = service.client(own.token)
    tag = {"key": "k", "value": "v"}
    for body in (
        {"run_id": other.run_id}, {"runId": other.run_id}, {"run_uuid": other.run_id}, {"runUuid": other.run_id}, {},
        {"run_id": own.run_id, "run_uuid": other.run_id}, {"run_uuid": own.run_id, "runId": other.run_id},
    ):  # fmt: skip
        assert http.post(f"{MLFLOW}/runs/set-tag", json=body | tag).status_code == 403, body
    twice = f'{{"run_id": "{other.run_id}", "run_id": "{own.run_id}", "key": "twice", "value": "v"}}'
    assert http.post(f"{MLFLOW}/runs/set-tag", content=twice, headers=JSON).status_code == 200
    both = {"run_id": own.run_id, "runId": other.run_id, **tag}
    assert http.post(f"{MLFLOW}/runs/set-tag", json=both).status_code == 400
    halves = (b'{"run_id": "\\ud800"}', b'{"run_id": "\xed\xa0\x80"}')
    for content in (b"[]", b"{", b"[" * 100_000, b'"x"', b"\xff", *halves):
        assert http.post(f"{MLFLOW}/runs/set-tag", content=content, headers=JSON).status_code == 400, content[:10]
    for query in (f"run_id={other.run_id}", f"run_id={own.run_id}&run_id={other.run_id}", "",
                  f"run_id={own.run_id}&run_uuid={other.run_id}"):  # fmt: skip
        assert http.get(f"{MLFLOW}/runs/get?{query}").status_code == 403, query
    for method, query in (("GET", ""), ("HEAD", ""), ("HEAD", f"?run_id={own.run_id}")):  # MLflow reads the body then
        hidden = http.request(method, f"{MLFLOW}/runs/get{query}", json={"run_id": other.run_id})
        assert hidden.status_code == 403, (method, query)
    assert http.get(f"{MLFLOW}/runs/get?run_id={own.run_id}").status_code == 200
    for key in (EXPERIMENT_TAG, EXPERIMENT_TAG.upper(), f"{EXPERIMENT_TAG} ", EXPERIMENT_TAG.replace("e", "\u00e9")):
        stolen = {"run_id": own.run_id, "tags": [{"key": key, "value": other.id}]}  # MariaDB takes these for one name
        assert http.post(f"{MLFLOW}/runs/log-batch", json=stolen).status_code == 403, key
        assert http.post(f"{MLFLOW}/runs/delete-tag", json={"run_id": own.run_id, "key": key}).status_code == 403, key
    there = service.platform.tracking.client().get_run(other.run_id).data.tags
    assert "k" not in there and "twice" not in there


JSON = {"Content-Type": "application/json"}


def test_files_of_others_are_closed_by_any_path(service: Service, own: Experiment, other: Experiment) -> None:
    http = service.client(own.token)
    mine, theirs = f"own/{own.run_id}/artifacts", f"other/{other.run_id}/artifacts"
    assert service.admin.put(f"{FILES}/{theirs}/secret.txt", content=b"secret").status_code == 200
    assert http.put(f"{FILES}/{mine}/a b%25.txt", content=b"mine").status_code == 200
    assert http.get(f"{FILES}/{mine}/a b%25.txt").content == b"mine"
    for path in (
        f"{theirs}/secret.txt", f"{mine}/../../../{theirs}/secret.txt", f"{mine}/%2e%2e/%2e%2e/%2e%2e/{theirs}/secret.txt",
        f"{mine}/%252e%252e/%252e%252e/%252e%252e/{theirs}/secret.txt", f"/{theirs}/secret.txt", f"./{theirs}/secret.txt",
        f"other/{other.run_id}/artifacts/{own.run_id}", f"{own.run_id}/{theirs}/secret.txt", "secret.txt", "other", "",
    ):  # fmt: skip
        for method in ("GET", "PUT", "DELETE"):
            request = http.build_request(method, f"{FILES}/{path}")
            request.url = request.url.copy_with(raw_path=f"{FILES}/{path}".encode())  # as it is: nothing made plain
            assert http.send(request).status_code == 403, (method, path)
        assert http.get(FILES, params={"path": path}).status_code == 403, path
    assert http.get(FILES, params=[("path", mine), ("path", theirs)]).status_code == 403
    assert http.get(FILES).status_code == 403
    assert [one["path"] for one in http.get(FILES, params={"path": mine}).json()["files"]] == ["a b%.txt"]
    assert service.admin.get(f"{FILES}/{theirs}/secret.txt").content == b"secret"


def test_searches_find_its_own_runs_alone(service: Service, own: Experiment, other: Experiment) -> None:
    http = service.client(own.token)

    def search(filter: str) -> set[str]:
        body = {"experiment_ids": [own.mlflow_id, other.mlflow_id], "filter": filter, "max_results": 1000}
        answer = http.post(f"{MLFLOW}/runs/search", json=body)
        assert answer.status_code == 200, answer.text
        return {run["info"]["run_id"] for run in answer.json().get("runs", [])}

    assert other.run_id not in search("") and own.run_id in search("")
    for filter in (
        f"tags.`{EXPERIMENT_TAG}` = '{other.id}'",
        f"attributes.run_id = '{other.run_id}'",
        f"tags.mlflow.parentRunId = '{other.run_id}'",
        f"tags.`{EXPERIMENT_TAG}` != '{own.id}'",
        f"params.x = 'tags.`{EXPERIMENT_TAG}` = ''{own.id}'''",
        "attributes.status != 'x'",
    ):
        assert other.run_id not in search(filter), filter
    assert search(f"tags.`{EXPERIMENT_TAG}` = '{own.id}'") == search("")
    for bad in ("attributes.status = 'RUNNING' OR 1 = 1", "x = 'y'; drop table runs", "((", "a" * 6000, "x = 'y' --"):
        assert http.post(f"{MLFLOW}/runs/search", json={"filter": bad, "experiment_ids": ["0"]}).status_code == 400, bad
    models = {"experiment_ids": [other.mlflow_id], "filter": f"source_run_id = '{other.run_id}'"}
    assert http.post(f"{MLFLOW}/logged-models/search", json=models).json().get("models", []) == []


def test_a_search_finds_the_models_of_all_its_runs(
    service: Service, own: Experiment, other: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = service.client(own.token)
    client = service.platform.tracking.client()
    trial = client.create_run(own.mlflow_id, tags={SWEEP_TAG: own.id}).info.run_id
    mine = [client.create_logged_model(own.mlflow_id, source_run_id=run).model_id for run in (own.run_id, trial)]
    theirs = client.create_logged_model(other.mlflow_id, source_run_id=other.run_id).model_id

    def search(filter: str = "") -> httpx.Response:
        wanted = {"experiment_ids": [own.mlflow_id, other.mlflow_id], "filter": filter}
        return http.post(f"{MLFLOW}/logged-models/search", json=wanted)

    def found(filter: str = "") -> set[str]:
        return {one["info"]["model_id"] for one in search(filter).json().get("models", [])}

    assert found() == set(mine) and theirs not in found(f"source_run_id IN ('{other.run_id}', '{trial}')")
    assert found("source_run_id IN (5)") == set()
    monkeypatch.setattr("submarine_ray.tracking.ownership.MOST_NAMED", 1)
    assert search().status_code == 400 and "name the runs" in search().text  # says so, and leaves none out
    assert found(f"source_run_id = '{trial}'") == {mine[1]}
    assert found(f"source_run_id IN ('{trial}', '{own.run_id}')") == set(mine)
    assert search(f"source_run_id IN ('{trial}', '{other.run_id}')").status_code == 400


def test_what_it_makes_is_below_its_own_run(service: Service, own: Experiment, other: Experiment) -> None:
    http = service.client(own.token)
    client = service.platform.tracking.client()
    made = http.post(f"{MLFLOW}/runs/create", json={"experiment_id": other.mlflow_id, "tags": []}).json()["run"]["info"]
    tags = client.get_run(made["run_id"]).data.tags
    assert (tags["mlflow.parentRunId"], tags[EXPERIMENT_TAG]) == (own.run_id, own.id)
    below = [{"key": "mlflow.parentRunId", "value": made["run_id"]}]
    nested = http.post(f"{MLFLOW}/runs/create", json={"experiment_id": own.mlflow_id, "tags": below}).json()["run"]
    key = nested["info"]["run_id"]
    assert http.post(
        f"{MLFLOW}/runs/log-metric", json={"run_id": key, "key": "m", "value": 1, "timestamp": 1}
    ).is_success
    odd = http.post(f"{MLFLOW}/runs/create", json={"experiment_id": own.mlflow_id, "tags": [{"key": [], "value": "x"}]})
    assert odd.status_code == 400
    for tag in ({"key": "mlflow.parentRunId", "value": other.run_id}, {"key": EXPERIMENT_TAG, "value": other.id},
                {"key": "submarine.sweep_id", "value": other.id}):  # fmt: skip
        answer = http.post(f"{MLFLOW}/runs/create", json={"experiment_id": own.mlflow_id, "tags": [tag]})
        assert answer.status_code == 403, tag
    assert http.post(f"{MLFLOW}/runs/delete", json={"run_id": key}).status_code == 200
    assert http.post(f"{MLFLOW}/runs/delete", json={"run_id": own.run_id}).status_code == 403
    for place in ("artifact_location", "artifactLocation"):
        body = {"name": f"elsewhere-{place}", place: "/etc"}
        assert http.post(f"{MLFLOW}/experiments/create", json=body).status_code == 403


def test_metrics_of_anothers_model_are_closed(service: Service, own: Experiment, other: Experiment) -> None:
    http, theirs = service.client(own.token), service.client(other.token)
    client = service.platform.tracking.client()
    models = []
    for name in ("kept", "shared"):
        made = theirs.post(f"{MLFLOW}/logged-models", json={"experiment_id": other.mlflow_id, "name": name}).json()
        models.append(made["model"]["info"]["model_id"])
    kept, shared = models
    client.create_registered_model("measured")
    client.create_model_version("measured", f"models:/{shared}", model_id=shared)

    def log(http: httpx.Client, run_id: str, key: str, model: dict[str, str]) -> list[int]:
        metric = {"key": key, "value": 1.0, "timestamp": 1, "step": 0, **model}
        one = http.post(f"{MLFLOW}/runs/log-metric", json={"run_id": run_id, **metric})
        many = http.post(f"{MLFLOW}/runs/log-batch", json={"run_id": run_id, "metrics": [metric | {"step": 1}]})
        return [one.status_code, many.status_code]

    for field in ("model_id", "modelId"):
        assert log(http, own.run_id, "forged", {field: kept}) == [403, 403]
        # Who evaluates a registered model has the result in their own run, and that model is not told.
        assert log(http, own.run_id, f"evaluated-{field}", {field: shared}) == [200, 200]
        assert len(client.get_metric_history(own.run_id, f"evaluated-{field}")) == 2
    assert log(theirs, other.run_id, "true", {"model_id": kept}) == [200, 200]
    assert {metric.key for metric in client.get_logged_model(kept).metrics} == {"true"}
    assert not client.get_logged_model(shared).metrics


def test_versions_are_registered_from_its_own_runs_alone(service: Service, own: Experiment, other: Experiment) -> None:
    http, theirs = service.client(own.token), service.client(other.token)
    model = theirs.post(f"{MLFLOW}/logged-models", json={"experiment_id": other.mlflow_id, "name": "secret"}).json()
    model_id = model["model"]["info"]["model_id"]
    assert service.platform.tracking.client().get_logged_model(model_id).source_run_id == other.run_id
    root = model["model"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:").strip("/")
    assert theirs.put(f"{FILES}/{root}/MLmodel", content=b"x").status_code == 200
    assert http.get(f"{FILES}/{root}/MLmodel").status_code == 403
    assert http.get(f"{MLFLOW}/logged-models/{model_id}").status_code == 403
    output = {"run_id": own.run_id, "models": [{"model_id": model_id, "step": 0}]}
    assert http.post(f"{MLFLOW}/runs/outputs", json=output).status_code == 403
    for name in ("registered", "bad"):
        assert http.post(f"{MLFLOW}/registered-models/create", json={"name": name}).status_code == 200
    for body in (
        {"source": f"models:/{model_id}"}, {"source": f"mlflow-artifacts:/{root}", "run_id": own.run_id},
        {"source": f"runs:/{other.run_id}/x"}, {"source": "/etc"}, {"source": "file:///etc", "run_id": own.run_id},
        {"source": f"mlflow-artifacts:/own/{own.run_id}/artifacts/../../../{root}", "run_id": own.run_id},
        {"source": f"mlflow-artifacts://host/{root}", "run_id": own.run_id}, {"source": "models:/x/1"},
        {"source": f"mlflow-artifacts:/own/{own.run_id}/artifacts/m", "model_id": model_id},
    ):  # fmt: skip
        assert http.post(f"{MLFLOW}/model-versions/create", json={"name": "bad", **body}).status_code == 403, body
    version = {"name": "registered", "source": f"models:/{model_id}", "run_id": other.run_id, "model_id": model_id}
    assert theirs.post(f"{MLFLOW}/model-versions/create", json=version).status_code == 200
    # Now it may be loaded, by everyone; and changed by whose it is.
    assert http.get(f"{FILES}/{root}/MLmodel").content == b"x"
    assert http.get(f"{MLFLOW}/logged-models/{model_id}").status_code == 200
    assert http.put(f"{FILES}/{root}/MLmodel", content=b"y").status_code == 403
    described = {"name": "registered", "version": "1", "description": "d"}
    assert http.patch(f"{MLFLOW}/model-versions/update", json=described).status_code == 403
    assert theirs.patch(f"{MLFLOW}/model-versions/update", json=described).status_code == 200
    _check_endpoint(service, root, model_id)


def _check_endpoint(service: Service, root: str, model_id: str) -> None:
    """The endpoint of the version reads it, and nothing else; another's does not; and it dies with its row."""
    with service.platform.database.session(write=True) as session:
        for name, model in (("registered-1", "registered"), ("bad-1", "bad")):
            session.add(EndpointRow(name=name, model_name=model, model_version=1, model_uri="x", cluster="nowhere",
                                    replicas=1, cpu=0, gpu=0, status="Creating", created_ms=1, changed_ms=1))  # fmt: skip
    issue = service.platform.tokens.issue
    mine = service.client(issue(PrincipalKind.ENDPOINT, "registered-1"))
    anothers = service.client(issue(PrincipalKind.ENDPOINT, "bad-1"))
    for path, params in ((f"{FILES}/{root}/MLmodel", {}), (FILES, {"path": root}), (f"{MLFLOW}/logged-models/{model_id}", {}),
                         (f"{MLFLOW}/model-versions/get", {"name": "registered", "version": "1"})):  # fmt: skip
        assert mine.get(path, params=params).status_code == 200, path
        assert anothers.get(path, params=params).status_code == 403, path
    assert mine.put(f"{FILES}/{root}/MLmodel", content=b"y").status_code == 403
    for path in ("/api/v1/experiment", "/api/v1/serve", f"{MLFLOW}/experiments/search", f"{FILES}?path=", "/metrics"):
        assert mine.get(path).status_code == 403, path
    service.change(EndpointRow, "registered-1", status="Deleting")
    wait_until(lambda: mine.get(FILES, params={"path": root}).status_code == 401, 5, "its token ends")


def test_an_attempts_token_ends_with_it(service: Service) -> None:
    made = service.experiment("ending")
    http = service.client(made.token)

    def status() -> int:
        return http.get(f"{MLFLOW}/runs/get", params={"run_id": made.run_id}).status_code

    assert status() == 200
    # It has just ended: its last metrics are still on their way.
    service.change(ExperimentRow, made.id, status="Succeeded", finished_ms=now_ms(), next_check_ms=None)
    wait_until(lambda: status() == 200, 5, "its last words are heard")
    service.change(ExperimentRow, made.id, finished_ms=now_ms() - 3_600_000)
    wait_until(lambda: status() == 401, 5, "its token ends")
    assert "has ended" in http.get(f"/api/v1/experiment/{made.id}").json()["message"]
    # The next attempt: the one before it is being stopped at first.
    service.change(ExperimentRow, made.id, status="Accepted", attempt=2, superseded=made.id, finished_ms=None)
    wait_until(lambda: status() == 200, 5, "it may say why it ended")
    service.change(ExperimentRow, made.id, superseded="")
    wait_until(lambda: status() == 401, 5, "another has followed it")
    second = service.client(service.platform.tokens.issue(PrincipalKind.ATTEMPT, f"{made.id}-r2"))
    assert second.get(f"{MLFLOW}/runs/get", params={"run_id": made.run_id}).status_code == 200
    service.admin.delete(f"/api/v1/experiment/{made.id}")
    wait_until(lambda: second.get(f"/api/v1/experiment/{made.id}").status_code == 401, 5, "deleted")


def test_a_notebook_acts_for_its_user_while_it_runs_but_registers_no_clusters(service: Service) -> None:
    made = service.admin.post("/api/v1/notebook", json=EXAMPLES["NotebookSpec"]).json()["result"]
    id = made["notebookId"]
    http = service.client(service.platform.tokens.issue(PrincipalKind.NOTEBOOK, id))
    created = http.post("/api/v1/experiment", json=spec())
    assert created.status_code == 200
    assert http.delete(f"/api/v1/experiment/{created.json()['result']['experimentId']}").status_code == 200
    assert http.get("/api/v1/cluster").status_code == 200
    assert http.get(f"{MLFLOW}/experiments/search", params={"max_results": 1}).status_code == 200
    cluster = {"name": "mine", "kind": "ray", "address": "http://127.0.0.1:1"}
    for method, path in (("POST", "/api/v1/cluster"), ("DELETE", "/api/v1/cluster/local"), ("POST", "/api/v1/cluster/x/check"),
                         ("GET", "/ray/local/%0A"), ("PUT", "/notebook/a/b/api/contents/%0A"),
                         ("GET", "/ray/local/"), ("GET", made["url"].split("://")[-1] if "url" in made else "/notebook/a/b/lab")):  # fmt: skip
        assert http.request(method, path, json=cluster).status_code == 403, path
    service.change(NotebookRow, id, wanted="stop")
    wait_until(lambda: http.get("/api/v1/cluster").status_code == 401, 5, "its token ends")


def test_a_forged_token_opens_nothing(service: Service, api: httpx.Client, own: Experiment) -> None:
    # On loopback without a token whoever asks is an administrator; not with a token that was made elsewhere.
    for http, open_path in ((service.client(own.token[:-1] + "A"), "/health"), (api, "/health")):
        headers = {"Authorization": f"Bearer {own.token[:-2]}AA"}
        assert http.get("/api/v1/experiment", headers=headers).status_code == 401
        assert http.get(open_path, headers=headers).status_code == 200


SCRIPT = """
import json, os, sys
from pathlib import Path
import mlflow, numpy, pandas
import submarine_ray as submarine
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

client = MlflowClient()
own = os.environ["MLFLOW_RUN_ID"]
model = LinearRegression().fit(numpy.array([[0.0], [1.0]]), [0.0, 2.0])
mlflow.set_experiment("of-the-script")
mlflow.log_metric("loss", 0.5)
mlflow.log_params({"a": 1})
Path("note.txt").write_text("note")
mlflow.log_artifact("note.txt", "notes")
assert mlflow.active_run().info.run_id == own
assert Path(mlflow.artifacts.download_artifacts(run_id=own, artifact_path="notes/note.txt")).read_text() == "note"
mlflow.log_table({"x": [1]}, "table.json")
mlflow.log_dict({"x": 1}, "x.json")
mlflow.log_input(mlflow.data.from_pandas(pandas.DataFrame({"x": [1]}), source="here"))
with mlflow.start_run(nested=True, run_name="child") as child:
    mlflow.log_metric("loss", 0.25)
    mlflow.set_tag("note", "child")
    info = mlflow.sklearn.log_model(model, name="inner", skops_trusted_types=[], pip_requirements=[])
    assert mlflow.pyfunc.load_model(f"runs:/{child.info.run_id}/inner").predict([[2.0]])[0] > 3.9
    assert mlflow.sklearn.load_model(info.model_uri).coef_[0] > 1.9
best = mlflow.search_runs(experiment_ids=[os.environ["MLFLOW_EXPERIMENT_ID"]], filter_string="metrics.loss < 0.3")
assert list(best.run_id) == [child.info.run_id], best
assert len(mlflow.search_runs(experiment_ids=[os.environ["MLFLOW_EXPERIMENT_ID"]])) == 2
found = client.search_runs([os.environ["MLFLOW_EXPERIMENT_ID"]], f"tags.mlflow.parentRunId = '{own}'")
assert [one.info.run_id for one in found] == [child.info.run_id]
free = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], run_name="by the client")
client.log_batch(free.info.run_id, params=[mlflow.entities.Param("p", "1")])
client.set_terminated(free.info.run_id)
version = mlflow.register_model(f"runs:/{child.info.run_id}/inner", "from-a-run")
client.update_model_version("from-a-run", version.version, "described")
client.set_model_version_tag("from-a-run", version.version, "k", "v")
assert mlflow.pyfunc.load_model("models:/from-a-run/1").predict([[3.0]])[0] > 5.9
assert mlflow.pyfunc.load_model("models:/from-a-run/latest")
submarine.save_model("sklearn", model, "by-submarine", input_dim=[-1, 1])
sdk = submarine.ModelClient()
assert [one["version"] for one in sdk.list_versions("by-submarine")] == [1]
assert sdk.register("by-rest", os.environ["SUBMARINE_EXPERIMENT_ID"], "model")["version"] == 1
assert [one.name for one in mlflow.search_experiments()] == [os.environ["JOB_NAME"]]
assert mlflow.search_experiments(filter_string="name = 'other'") == []
mlflow.set_experiment_tag("project", "of the script")
made = client.create_experiment("made-by-the-script")
client.delete_run(client.create_run(made).info.run_id)
try:
    submarine.ExperimentClient().list_experiments()
except submarine.ApiError as failure:
    print("REFUSED", failure)
try:
    client.get_run(sys.argv[1])
except mlflow.MlflowException as failure:
    print("REFUSED", failure)
"""


def test_scripts_run_as_they_are_with_their_attempts_token(service: Service, other: Experiment, tmp_path: Any) -> None:
    made = service.experiment("script")
    tracking = service.platform.tracking.reference(made.id, made.run_id, made.mlflow_id)
    assert tracking.token == made.token
    replica = Replica("worker", 0, "python train.py")
    launch = Launch(made.id, made.id, "script", "Python", (replica,), tracking=tracking, service_url=service.url)
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "_MLFLOW", "SUBMARINE_"))
    }
    env = clean | environment.platform_variables(launch, 0, str(tmp_path / "spool"))
    env |= environment.python_path(env)
    assert env["SUBMARINE_TOKEN"] == env["MLFLOW_TRACKING_TOKEN"] == made.token and ADMINISTRATOR not in json.dumps(env)
    (tmp_path / "train.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "train.py", other.run_id], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused = [line for line in done.stdout.splitlines() if line.startswith("REFUSED")]
    assert len(refused) == 2 and all("not open to this token" in line for line in refused), refused
    runs = service.platform.tracking.runs(made.run_id)
    assert len(runs) >= 3 and set(runs) >= {made.run_id}


def test_a_runner_with_a_ticket_runs_what_it_fetches_and_the_ticket_is_spent(service: Service, tmp_path: Any) -> None:
    """As a cluster elsewhere starts it; a single process needs no Ray."""
    made = service.experiment("ticketed")
    code = "import os, submarine_ray as s; s.log_metric('loss', 0.5); print(os.environ['KEY'], 'SUBMARINE_TICKET' in os.environ)"
    replica = Replica("worker", 0, f'{sys.executable} -c "{code}"', env={"KEY": "planted"}, cpu=1)
    tracking = service.platform.tracking.reference(made.id, made.run_id, made.mlflow_id)
    launch = Launch(made.id, made.id, "t", "Python", (replica,), str(tmp_path / "work"), tracking=tracking,
                    service_url=service.url)  # fmt: skip
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "_MLFLOW", "SUBMARINE_"))
    }
    ticket = service.platform.clusters.launches.keep(launch)
    env = clean | {TICKET_VARIABLE: ticket, BEGIN_VARIABLE: f"{launch.begin_address()}?submission={made.id}"}

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "submarine_ray.runner"]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run()
    assert done.returncode == 0 and re.search(r"\[worker-0 \S+Z\] planted False", done.stdout), (
        done.stdout + done.stderr
    )
    found = service.admin.get(f"/api/v1/experiment/{made.id}/metrics").json()["result"]
    assert [(one["key"], one["value"]) for one in found] == [("loss", 0.5)]
    again = run()
    assert again.returncode == BEGUN_BEFORE_STATUS and "somebody else has read its ticket" in again.stdout
    assert "planted" not in again.stdout


def test_what_cannot_be_found_out_now_is_no_refusal(
    service: Service, own: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipper gives up at 403, and asks again at 503."""
    from mlflow.exceptions import MlflowException

    def broken(_run: str) -> Any:
        raise MlflowException("the database is locked")

    http = service.client(own.token)
    monkeypatch.setattr(service.platform.tracking.client()._client, "get_run", broken)
    unknown = {"run_id": "f" * 32}
    assert http.get(f"{MLFLOW}/runs/get", params=unknown).status_code == 503
    assert http.post(f"{MLFLOW}/runs/log-batch", json=unknown).status_code == 503

    def away(*_: Any) -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(repository, "find", away)
    other = service.client(service.platform.tokens.issue(PrincipalKind.ATTEMPT, f"{own.id}-r9"))
    assert other.get(f"{MLFLOW}/runs/get", params=unknown).status_code == 503
