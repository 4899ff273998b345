"""The REST API with every cluster down: it accepts, refuses and answers all the same."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.core.sealed import Kept
from submarine_ray.experiments import answers, logs
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.tags import EXPERIMENT_TAG, PARENT_TAG
from tests.conftest import TOKEN, spec
from tests.service import own_run, put_texts, read_artifact

URL = "/api/v1/experiment"


def meta(**changes: Any) -> dict[str, Any]:
    return {"name": "test", "framework": "PyTorch", "cmd": "python train.py", **changes}


def worker(**changes: Any) -> dict[str, Any]:
    return {"Worker": {"replicas": 1, "resources": "cpu=1", **changes}}


def test_create_answers_as_documented(api: httpx.Client) -> None:
    """The request and answer of Submarine's "Experiment REST API"."""
    body = {
        "meta": {"name": "tf-mnist-json", "namespace": "default", "framework": "TensorFlow", "cmd": "python m.py", "envVars": {"ENV_1": "ENV1"}},
        "environment": {"image": "apache/submarine:tf-mnist-with-summaries-1.0"},
        "spec": {"Ps": {"replicas": 1, "resources": "cpu=1,memory=1024M"}, "Worker": {"replicas": 1, "resources": "cpu=1,memory=2048M"}},
    }  # fmt: skip
    answer = api.post(URL, json=body)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    envelope = answer.json()
    assert {k: envelope[k] for k in ("status", "code", "success", "message", "attributes")} == {
        "status": "OK", "code": 200, "success": True, "message": None, "attributes": {},
    }  # fmt: skip
    result = envelope["result"]
    assert result["status"] == "Accepted"
    assert result["acceptedTime"].endswith("+00:00") and result["createdTime"] is None
    assert result["spec"]["meta"]["experimentId"] == result["experimentId"]
    assert result["spec"]["meta"]["tags"] == []
    assert result["spec"]["environment"] == {
        "name": None, "dockerImage": None, "kernelSpec": None, "description": None, "image": "apache/submarine:tf-mnist-with-summaries-1.0",
    }  # fmt: skip
    assert result["spec"]["spec"]["Ps"] == {
        "replicas": 1, "resources": "cpu=1,memory=1024M", "name": None, "image": None, "cmd": None, "envVars": None,
        "resourceMap": {"memory": "1024M", "cpu": "1"},
    }  # fmt: skip
    assert result["spec"]["code"] is None
    assert api.get(f"{URL}/{result['experimentId']}").json()["result"]["spec"] == result["spec"]
    events = api.get(f"{URL}/{result['experimentId']}/events").json()["result"]
    assert [e["reason"] for e in events] == ["Accepted", "ImageIgnored"]
    assert api.delete(f"{URL}/{result['experimentId']}").json()["result"]["status"] == "Deleted"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (spec(meta=meta(name=None)), "meta.name"),
        ({"meta": {"framework": "PyTorch", "cmd": "x"}, "spec": worker()}, "meta.name: is required"),
        (spec(meta=meta(name="a/b")), "meta.name: 'a/b' cannot be the name"),
        (spec(meta=meta(name="x" * 64)), "1 to 63 letters"),
        (spec(meta=meta(framework="Caffe")), "meta.framework: unknown framework 'Caffe'; use one of PyTorch"),
        (spec(spec=worker(replicas=0)), "spec.Worker.replicas"),
        (spec(spec=worker(replicas=-1)), "spec.Worker.replicas"),
        (spec(spec=worker(resources="cpu=abc")), "spec.Worker.resources: cpu='abc' is not a number of cores"),
        (spec(spec=worker(resources="memory=12XB")), "memory='12XB' is not an amount of memory"),
        (spec(spec={"Chef": {"replicas": 1}}), "PyTorch has no such role"),
        (spec(spec={}), "spec"),
        (spec(meta=meta(cmd=None)), "there is no command"),
        (spec(cluster="mars"), "cluster: there is no cluster 'mars'"),
        (spec(environment={"name": "nowhere"}), "environment.name: there is no environment 'nowhere'"),
        (spec(colour="red"), "colour: is not a known field"),
        (spec(maxRetries=-1), "maxRetries"),
        (spec(code={"syncMode": "git"}), "git needs git.url"),
        (spec(code={"syncMode": "git", "git": {"url": "--upload-pack=x"}}), "is not a git URL"),
        (spec(code={"syncMode": "package", "url": "package://" + "0" * 64}), "no such package was uploaded"),
        (spec(environment={"kernelSpec": {"pipDependencies": ["--index-url=http://x"]}}), "not a package requirement"),
        (spec(meta=meta(envVars={"A-B": "1"})), "'A-B' is not an environment variable's name"),
        ([], "must be an object"),
    ],
)  # fmt: skip
def test_bad_input_is_400_with_the_field_and_what_to_do(api: httpx.Client, body: Any, said: str) -> None:
    answer = api.post(URL, json=body)
    envelope = answer.json()
    assert answer.status_code == 400, envelope
    assert said in envelope["message"]
    assert (envelope["status"], envelope["success"], envelope["result"]) == ("BAD_REQUEST", False, None)


def test_malformed_bodies(api: httpx.Client) -> None:
    answer = api.post(URL, content=b'{"meta": ', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and "not valid JSON" in answer.json()["message"]
    answer = api.post(URL, content=b"meta: [", headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 400 and "not valid YAML" in answer.json()["message"]
    answer = api.post(URL, content=b"x" * 10_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and "larger than" in answer.json()["message"]


def test_yaml_is_read(api: httpx.Client) -> None:
    text = "meta: {name: yaml, framework: pytorch, cmd: 'true', envVars: {NO: x, V: 3.10, T: 12:30:00}}\nspec:\n  Worker: {replicas: 1, resources: cpu=1}\n"
    answer = api.post(URL, content=text, headers={"Content-Type": "application/yaml"})
    meta = answer.json()["result"]["spec"]["meta"]
    assert meta["framework"] == "PyTorch" and meta["envVars"] == {"NO": "x", "V": "3.10", "T": "12:30:00"}


@pytest.mark.parametrize(
    "call", [("GET", ""), ("DELETE", ""), ("GET", "/metrics"), ("GET", "/events"), ("POST", "/stop")]
)
def test_unknown_ids_are_404(api: httpx.Client, call: tuple[str, str]) -> None:
    answer = api.request(call[0], f"{URL}/experiment-1-0001{call[1]}")
    assert answer.status_code == 404 and answer.json()["status"] == "NOT_FOUND"


def test_unknown_paths_and_methods_answer_in_the_envelope(api: httpx.Client) -> None:
    assert api.get("/api/v1/nothing").json()["code"] == 404
    assert api.put(URL).json()["code"] == 405
    assert api.get("/").json()["code"] == 404


def test_artifact_paths_do_not_lead_out(api: httpx.Client) -> None:
    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]
    run = own_run(platform.tracking, id)
    put_texts(platform.tracking, run.run_id, {"kept/a.txt": "hello"})
    with platform.database.session(write=True) as session:
        session.get(ExperimentRow, id).run_id = run.run_id
    assert api.get(f"{URL}/artifacts/{id}", params={"path": ""}).json()["result"] == ["kept/"]
    assert api.get(f"{URL}/{id}/artifact", params={"path": "kept/a.txt"}).text == "hello"
    for path in ("../../x", "/etc/passwd", "a/../../b", "..%2f..%2fx", "file:///etc/passwd", "a\\..\\b"):
        answer = api.get(f"{URL}/{id}/artifact", params={"path": path})
        # Where a colon, a percent sign or a backslash is a part of a name, there is no such name.
        assert answer.status_code == (404 if path[:3] in ("..%", "fil", "a\\.") else 400), path
    assert api.get(f"{URL}/{id}/artifact", params={"path": "none.txt"}).status_code == 404


def test_pages_and_status(api: httpx.Client) -> None:
    made = [api.post(URL, json=spec()).json()["result"]["experimentId"] for _ in range(5)]
    page = api.get(URL, params={"pageSize": 2, "page": 2, "status": "accepted"}).json()
    assert [e["experimentId"] for e in page["result"]] == [made[2], made[1]]
    assert page["attributes"]["total"] >= 5
    assert "unknown status 'odd'" in api.get(URL, params={"status": "odd"}).json()["message"]
    assert api.get(URL, params={"page": 0}).status_code == 400


def test_secrets_of_code_are_never_answered_or_stored_in_the_clear(api: httpx.Client) -> None:
    git = {"url": "https://example.org/x.git", "username": "me", "password": "hunter2"}
    answer = api.post(URL, json=spec(code={"syncMode": "git", "git": git}))
    id = answer.json()["result"]["experimentId"]
    assert "hunter2" not in answer.text + api.get(f"{URL}/{id}").text + api.get(URL).text
    platform = api.app.state.platform  # type: ignore[attr-defined]
    assert b"hunter2" not in platform.settings.layout.database.read_bytes()
    with platform.database.session() as session:
        row = session.get(ExperimentRow, id)
    assert answers.stored_spec(row).code.git.password == "hunter2"


def test_a_cluster_that_can_never_fit_refuses_at_once_unless_told_to_queue(api: httpx.Client) -> None:
    platform = api.app.state.platform  # type: ignore[attr-defined]
    from submarine_ray.clusters import repository

    api.post("/api/v1/cluster", json={"name": "small", "address": "http://127.0.0.1:9"})
    seen = {
        "total_cpu": 4.0,
        "total_memory": 10**9,
        "total_gpu": 0.0,
        "node_cpu": 2.0,
        "node_memory": 10**9,
        "node_gpu": 0.0,
    }
    with platform.database.session(write=True) as session:
        repository.record(session, "small", seen)
    gpu = spec(cluster="small", spec=worker(resources="cpu=1,nvidia.com/gpu=1"))
    answer = api.post(URL, json=gpu)
    assert answer.status_code == 400
    assert "spec.Worker.resources: 1 GPUs where there are 0" in answer.json()["message"]
    assert api.post(URL, json={**gpu, "queue": True}).status_code == 200
    many = api.post(URL, json=spec(cluster="small", spec=worker(replicas=5)))
    assert "all replicas together need 5 CPUs" in many.json()["message"]


def test_clusters(api: httpx.Client) -> None:
    body = {"name": "vm", "address": "http://10.1.2.3:8265", "token": "s3cret-token"}
    answer = api.post("/api/v1/cluster", json=body)
    assert answer.status_code == 200 and "s3cret" not in answer.text
    assert api.post("/api/v1/cluster", json=body).status_code == 409
    assert {"local", "vm"} <= {c["name"] for c in api.get("/api/v1/cluster").json()["result"]}
    assert api.delete("/api/v1/cluster/local").status_code == 409
    assert api.delete("/api/v1/cluster/vm").status_code == 200
    assert api.get("/api/v1/cluster/vm").status_code == 404
    assert "dashboard" in api.post("/api/v1/cluster", json={"name": "x", "address": "ftp://h"}).json()["message"]


def test_foreign_hosts_and_origins_are_refused(api: httpx.Client) -> None:
    assert api.get("/health", headers={"Host": "evil.example"}).status_code == 403
    assert api.post(URL, json=spec(), headers={"Origin": "http://evil.example"}).status_code == 403
    assert (
        api.put(
            "/mlflow/api/2.0/mlflow-artifacts/artifacts/x", content=b"x", headers={"Origin": "http://evil.example"}
        ).status_code
        == 403
    )


def test_models_and_serve_refuse_what_is_not_there(api: httpx.Client) -> None:
    assert (
        api.post("/api/v1/registered-model", json={"name": "m", "tags": ["a"], "description": "d"}).status_code == 200
    )
    assert api.post("/api/v1/registered-model", json={"name": "m"}).status_code == 409
    assert api.get("/api/v1/registered-model/m").json()["result"]["tags"] == ["a"]
    assert api.get("/api/v1/registered-model/none").status_code == 404
    assert api.get("/api/v1/model-version/m/7").status_code == 404
    assert api.post("/api/v1/serve", json={"modelName": "m", "modelVersion": 1}).status_code == 404
    assert api.post("/api/v1/serve", json={"modelName": "../m", "modelVersion": 1}).status_code == 400
    assert api.request("DELETE", "/api/v1/serve", json={"modelName": "m", "modelVersion": 1}).status_code == 404


def test_operations(api: httpx.Client) -> None:
    assert api.get("/health").json()["database"] == "up"
    assert 'submarine_experiments{status="Accepted"}' in api.get("/metrics").text
    assert "/api/v1/experiment" in api.get("/openapi.json").json()["paths"]
    page = api.get("/docs").text
    assert "http://" not in page and "https://" not in page  # nothing comes from elsewhere
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert api.get(asset).status_code == 200


def test_mlflow_answers_below_its_prefix_and_its_assistant_does_not(api: httpx.Client) -> None:
    assert api.get("/mlflow/health").status_code == 200 or api.get("/mlflow/").status_code == 200
    found = api.post("/mlflow/api/2.0/mlflow/experiments/search", json={"max_results": 5})
    assert found.status_code == 200 and found.json()["experiments"]
    assert api.get("/mlflow/ajax-api/3.0/mlflow/assistant/config").status_code == 404


def test_a_token_is_asked_for_where_one_is_set(tmp_path: Any) -> None:
    from fastapi.testclient import TestClient
    from pydantic import ValidationError

    from submarine_ray.app import build
    from submarine_ray.core.settings import Settings

    with pytest.raises(ValidationError, match="set SUBMARINE_TOKEN"):
        Settings(home=tmp_path, host="0.0.0.0")
    client = TestClient(build(Settings(home=tmp_path, token=TOKEN)), base_url="http://127.0.0.1")
    assert client.get(URL).status_code == 401
    assert client.get(URL, headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_waiting_for_the_end_answers_at_once_when_there_is_news_and_in_time_when_not(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submarine_ray.experiments.service.UNHEARD_SECONDS", 60)  # only news can wake it
    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    assert api.get(f"{URL}/{id}/end", params={"wait": 0.1}).json()["result"]["status"] == "Accepted"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.get, f"{URL}/{id}/end", params={"wait": 60})
        platform = api.app.state.platform  # type: ignore[attr-defined]
        while id not in platform.experiments._changes._waiting:
            time.sleep(0.01)
        api.delete(f"{URL}/{id}")
        assert waiting.result(30).status_code == 404
    assert api.get(f"{URL}/experiment-1-0001/end").status_code == 404
    assert api.get(f"{URL}/{id}/end", params={"wait": 3600}).status_code == 400


def test_big_artifacts_are_streamed_and_parts_can_be_asked_for(api: httpx.Client) -> None:
    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]
    run = own_run(platform.tracking, id)
    text = "0123456789" * 2_000_000
    put_texts(platform.tracking, run.run_id, {"big/ü a.bin": text})
    with platform.database.session(write=True) as session:
        session.get(ExperimentRow, id).run_id = run.run_id
    whole = api.get(f"{URL}/{id}/artifact", params={"path": "big/ü a.bin"})
    assert whole.text == text and whole.headers["content-length"] == str(len(text))
    assert "attachment; filename*=utf-8''%C3%BC%20a.bin" in whole.headers["content-disposition"]
    part = api.get(f"{URL}/{id}/artifact", params={"path": "big/ü a.bin"}, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.text) == (206, "56789")
    assert api.get(f"{URL}/{id}/artifact", params={"path": "big"}).status_code == 400


def test_a_spec_that_a_stricter_version_refuses_hides_no_other(api: httpx.Client) -> None:
    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]
    with platform.database.session(write=True) as session:
        row = session.get(ExperimentRow, id)
        row.spec = Kept(row.spec.text.replace('"replicas":1', '"replicas":-1'))
    listed = {one["experimentId"]: one for one in api.get(URL).json()["result"]}
    assert listed[id]["spec"]["spec"]["Worker"]["replicas"] == -1 and listed[id]["spec"]["meta"]["experimentId"] == id
    assert api.get(f"{URL}/{id}").status_code == 200
    assert id in [one["experimentId"] for one in api.get(f"{URL}/logs").json()["result"]]
    refused = api.get(f"/api/v1/experiment/{id}/trials")
    assert refused.status_code == 409 and "Worker.replicas" in refused.json()["message"]
    assert api.patch(f"{URL}/{id}", json=spec()).status_code == 200
    assert api.delete(f"{URL}/{id}").status_code == 200


def _end(api: httpx.Client, id: str, **values: Any) -> None:
    """As it is once it has ended."""
    platform = api.app.state.platform  # type: ignore[attr-defined]
    with platform.database.session(write=True) as session:
        row = session.get(ExperimentRow, id)
        for name, value in {"status": "Succeeded", "archived": True, "next_check_ms": None, **values}.items():
            setattr(row, name, value)


def test_what_is_only_about_an_experiment_is_edited_in_place(api: httpx.Client) -> None:
    """Nobody's training begins anew for a tag: whatever is done with the answer to GET, only what runs makes it run."""
    id = api.post(URL, json=spec(meta=meta(tags=["old"], owner="ada"))).json()["result"]["experimentId"]
    _end(api, id)
    shown = api.get(f"{URL}/{id}").json()["result"]
    edits = {"name": "renamed", "tags": ["new", "b"], "owner": "grace", "team": "core", "notes": "It\nworked."}
    edited = api.patch(f"{URL}/{id}", json={**shown["spec"], "meta": {**shown["spec"]["meta"], **edits}}).json()[
        "result"
    ]
    assert (edited["status"], edited["attempt"], edited["finishedTime"]) == ("Succeeded", 1, shown["finishedTime"])
    assert {key: edited["spec"]["meta"][key] for key in edits} == edits
    assert edited == api.get(f"{URL}/{id}").json()["result"]
    assert [one["experimentId"] for one in api.get(URL, params={"tag": "new"}).json()["result"]] == [id]
    assert api.get(URL, params={"tag": "old"}).json()["result"] == []
    told = api.get(f"{URL}/{id}/events").json()["result"]
    said = "A user changed its name from 'test' to 'renamed', and its owner, team, tags and notes."
    assert [(one["reason"], one["message"]) for one in told][-1] == ("Edited", said)
    assert api.patch(f"{URL}/{id}", json=edited["spec"]).json()["result"] == edited  # nothing is new
    assert len(api.get(f"{URL}/{id}/events").json()["result"]) == len(told)
    assert api.patch(f"{URL}/{id}", json=edited["spec"], params={"rerun": True}).json()["result"]["attempt"] == 2
    _end(api, id)
    code = {**edited["spec"], "meta": {**edited["spec"]["meta"], "cmd": "python other.py", "owner": "ada"}}
    again = api.patch(f"{URL}/{id}", json=code).json()["result"]
    assert (again["attempt"], again["status"], again["spec"]["meta"]["owner"]) == (3, "Accepted", "ada")


def _ran(api: httpx.Client, id: str, lr: float) -> None:
    """As the current attempt leaves its run: a parameter, a metric and a log."""
    platform = api.app.state.platform  # type: ignore[attr-defined]
    with platform.database.session() as session:
        row = session.get(ExperimentRow, id)
    run = platform.tracking.open_run(row.new_run_id, "test", id, "worker-0", {})
    client = platform.tracking.client()
    client.log_param(run.run_id, "lr", lr)
    client.log_metric(run.run_id, "loss", lr)
    nested = client.create_run(run.mlflow_experiment_id, tags={EXPERIMENT_TAG: id, PARENT_TAG: run.run_id}).info.run_id
    client.log_metric(nested, "inner", lr)
    put_texts(platform.tracking, run.run_id, {"logs/worker-0.log": f"trained with {lr}", f"out-{lr}.txt": ""})
    _end(api, id, run_id=run.run_id)


def test_a_rerun_has_results_of_its_own_and_those_of_before_stay(api: httpx.Client) -> None:
    """Metrics, parameters, logs, artifacts and the spec of each attempt are asked for by its number."""
    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    _ran(api, id, 0.1)
    again = api.patch(f"{URL}/{id}", json=spec(timeout=9)).json()["result"]
    assert (again["attempt"], again["runId"]) == (2, None)
    assert api.get(f"{URL}/{id}/metrics").json()["result"] == []
    _ran(api, id, 0.5)
    attempts = api.get(f"{URL}/{id}/attempts").json()["result"]
    told = [(one["attempt"], one["status"], one["spec"].get("timeout")) for one in attempts]
    assert told == [(1, "Succeeded", None), (2, "Succeeded", 9)]
    assert attempts[0]["runId"] != attempts[1]["runId"] == api.get(f"{URL}/{id}").json()["result"]["runId"]
    for params, lr in (({"attempt": 1}, 0.1), ({"attempt": 2}, 0.5), ({}, 0.5)):
        metrics = api.get(f"{URL}/{id}/metrics", params=params).json()["result"]
        assert {(one["key"], one["value"]) for one in metrics} == {("loss", lr), ("inner", lr)}
        assert [one["value"] for one in api.get(f"{URL}/{id}/params", params=params).json()["result"]] == [str(lr)]
        log = api.get(f"{URL}/logs/{id}", params=params).json()["result"]["logContent"]
        assert [pod["podLog"] for pod in log] == [[f"trained with {lr}"]]
        assert f"trained with {lr}" in api.get(f"{URL}/logs/{id}/stream", params=params | {"follow": False}).text
        listed = api.get(f"{URL}/artifacts/{id}", params={"path": "", **params}).json()["result"]
        assert listed == ["logs/", f"out-{lr}.txt"]
        path = {"path": f"out-{lr}.txt", **params}
        assert api.get(f"{URL}/{id}/artifact", params=path).status_code == 200
    assert "trained with 0.1" in api.get(f"{URL}/logs/{id}/stream", params={"attempt": 1}).text
    for path in (f"{id}/metrics", f"logs/{id}", f"artifacts/{id}"):
        missing = api.get(f"{URL}/{path}", params={"attempt": 3})
        assert missing.status_code == 404 and "has no attempt 3; it has 1, 2." in missing.json()["message"]


def test_a_hidden_password_that_is_sent_back_stays_the_password(api: httpx.Client) -> None:
    git = {"url": "https://host/team/project.git", "password": "s3cret"}
    id = api.post(URL, json=spec(code={"syncMode": "git", "git": git})).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]

    def password() -> str:
        with platform.database.session() as session:
            return str(json.loads(session.get(ExperimentRow, id).spec.text)["code"]["git"]["password"])

    shown = api.get(f"{URL}/{id}").json()["result"]["spec"]
    assert shown["code"]["git"]["password"] == "**********"
    for sent in ("**********", "s3cret"):
        shown["code"]["git"]["password"] = sent
        assert api.patch(f"{URL}/{id}", json={**shown, "meta": meta(owner=sent)}).json()["result"]["attempt"] == 1
    shown["code"]["git"]["password"] = "**********"
    assert api.patch(f"{URL}/{id}", json={**shown, "timeout": 9}).json()["result"]["attempt"] == 2
    assert password() == "s3cret"
    shown["code"]["git"]["password"] = "0ther"
    assert api.patch(f"{URL}/{id}", json={**shown, "timeout": 9}).json()["result"]["attempt"] == 3
    assert password() == "0ther"


def test_an_earlier_attempts_log_makes_room_for_the_next(api: httpx.Client) -> None:
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    run = own_run(tracking, "experiment-1-0042").run_id
    tracking.move_files(run, "logs", "logs/attempt-1", logs.is_own)  # there may be none
    put_texts(tracking, run, {"logs/worker-0.log": "one ü", "logs/attempt-1/worker-0.log": "older"})
    tracking.move_files(run, "logs", "logs/attempt-2", logs.is_own)
    assert [one.path for one in tracking.list_artifacts(run, "logs")] == ["logs/attempt-1", "logs/attempt-2"]
    assert read_artifact(tracking, run, "logs/attempt-2/worker-0.log").decode() == "one ü"


def test_what_a_script_has_logged_beside_the_logs_stays_as_it_is(api: httpx.Client, tmp_path: Path) -> None:
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    run = own_run(tracking, "experiment-1-0043").run_id
    (tmp_path / "events.out.tfevents").write_bytes(b"\x00\xff\x80")
    store = tracking._artifacts(run)
    store.log_artifact(str(tmp_path / "events.out.tfevents"), "logs")
    names = ["ray.log", "submarine.log", "worker-0.log", "trial-3fa2c_00004-worker-1.log"]
    put_texts(tracking, run, {f"logs/{name}": "" for name in names})
    tracking.move_files(run, "logs", "logs/attempt-1", logs.is_own)
    assert [one.path for one in tracking.list_artifacts(run, "logs")] == ["logs/attempt-1", "logs/events.out.tfevents"]
    assert len(tracking.list_artifacts(run, "logs/attempt-1")) == len(names)
    assert read_artifact(tracking, run, "logs/events.out.tfevents") == b"\x00\xff\x80"
