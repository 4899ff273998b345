"""Runs, metrics and artifacts as the API tells them; and MLflow's server as it is mounted here."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.experiments.tables import ExperimentRow
from tests.conftest import spec
from tests.service import own_run, put_texts

URL = "/api/v1/experiment"
BATCH = "/mlflow/api/2.0/mlflow/runs/log-batch"


@pytest.fixture
def run(api: httpx.Client) -> tuple[str, str]:
    """An experiment that has a run; its id and the run's."""
    return make_run(api)


def make_run(api: httpx.Client, **changes: Any) -> tuple[str, str]:
    id = api.post(URL, json=spec(**changes)).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]
    made = own_run(platform.tracking, id)
    with platform.database.session(write=True) as session:
        session.get(ExperimentRow, id).run_id = made.run_id
    return id, made.run_id


def metric(**changes: Any) -> dict[str, Any]:
    return {"key": "loss", "value": 0.5, "step": 1, "timestamp": 1, **changes}


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("metrics", metric(key="bad", step=2**63)),
        ("metrics", metric(key="bad", value="high")),
        ("metrics", metric(key="bad", timestamp=1.5)),
        ("params", {"key": "bad", "value": "caf\udce9"}),
        ("params", {"key": "bad", "value": 3}),
        ("tags", {"key": "bad", "value": "caf\udce9"}),
    ],
)
def test_a_batch_with_a_record_that_cannot_be_stored_is_refused_and_says_which(
    api: httpx.Client, run: tuple[str, str], kind: str, bad: dict[str, Any]
) -> None:
    good = metric() if kind == "metrics" else {"key": "good", "value": "1"}
    body = json.dumps({"run_id": run[1], kind: [good, bad, {**good, "key": "after"}]})
    answer = api.post(BATCH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    said = answer.json()["message"]
    assert "cannot be stored as it is" in said and f"{kind}[1]" in said, said
    assert api.post(BATCH, json={"run_id": run[1], kind: [good, {**good, "key": "after"}]}).status_code == 200


ODD = {"down": "-Infinity", "loss": 0.5, "nan": "NaN", "up": "Infinity"}
AS_FLOATS = {"down": "-inf", "loss": "0.5", "nan": "nan", "up": "inf"}


@pytest.fixture
def client(api: httpx.Client) -> ExperimentClient:
    """The SDK, on the app in this process."""
    made = ExperimentClient("http://127.0.0.1:32080")
    made.service._http = api
    return made


def test_nan_and_infinities_are_told_apart(api: httpx.Client, client: ExperimentClient, run: tuple[str, str]) -> None:
    id, key = run
    logged = [metric(key=name, value=value) for name, value in ODD.items()]
    assert api.post(BATCH, json={"run_id": key, "metrics": logged}).status_code == 200
    assert {m["key"]: m["value"] for m in api.get(f"{URL}/{id}/metrics").json()["result"]} == ODD
    assert {m["key"]: str(m["value"]) for m in client.metrics(id)} == AS_FLOATS
    for name, value in ODD.items():
        (point,) = api.get(f"{URL}/{id}/metrics", params={"key": name}).json()["result"]
        assert point["value"] == value


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_trial_that_diverged_never_wins(api: httpx.Client, client: ExperimentClient, mode: str) -> None:
    tune = {"searchSpace": {"lr": {"type": "uniform", "low": 0, "high": 1}}, "metric": "loss", "mode": mode}
    document = spec(meta={"name": "sweep", "framework": "Python", "cmd": "python t.py {{lr}}"}, tune=tune)
    id, _ = make_run(api, **document)
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    values = [math.inf, 0.25, math.nan, 0.75, -math.inf, None]
    for number, value in enumerate(values):
        tags = {"submarine.sweep_id": id, "submarine.is_trial": "1", "submarine.trial_id": f"t{number}",
                "submarine.sweep_name": "s", "submarine.trial_params": "{}"}  # fmt: skip
        trial = tracking.client().create_run(tracking._own.experiment("test"), tags=tags)
        if value is not None:
            tracking.client().log_metric(trial.info.run_id, "loss", value)
    sweep = client.sweep(id)
    best, other = (0.25, 0.75) if mode == "min" else (0.75, 0.25)
    found = [trial["metrics"].get("loss") for trial in sweep["trials"]]
    assert found[:2] == [best, other]
    assert sorted(map(str, found[2:])) == ["-inf", "None", "inf", "nan"]
    assert sweep["best"]["metrics"]["loss"] == best
    told = {str(t["metrics"].get("loss")) for t in api.get(f"{URL}/{id}/trials").json()["result"]}
    assert told == {"0.25", "0.75", "NaN", "Infinity", "-Infinity", "None"}


NAMES = (
    "50%.txt",
    "100%41.txt",
    "12:30.txt",
    "a#1.txt",
    "what?.txt",
    "back\\slash.txt",
    "ü 鯨.txt",
    "a+b&c.txt",
    "%2e%2e",
)


def test_artifacts_are_read_by_the_names_that_are_listed(
    api: httpx.Client, client: ExperimentClient, run: tuple[str, str], tmp_path: Any
) -> None:
    id, key = run
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    put_texts(tracking, key, {name: name for name in NAMES} | {f"in % #/{name}": name for name in NAMES})
    listed = client.list_artifacts(id)
    assert sorted(listed) == sorted([*NAMES, "in % #/"])
    inner = client.list_artifacts(id, "in % #/")
    assert sorted(inner) == sorted(f"in % #/{name}" for name in NAMES)
    for name in (*NAMES, *inner):
        file = client.download_artifact(id, name, tmp_path / "got")
        assert file.read_text() == name.removeprefix("in % #/"), name


def test_links_do_not_lead_out_of_the_artifacts(api: httpx.Client, run: tuple[str, str], tmp_path: Any) -> None:
    id, key = run
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    put_texts(tracking, key, {"kept.txt": "hello"})
    root = tracking._artifacts(key).artifact_dir
    (tmp_path / "secret.txt").write_text("secret")
    for name, target in (("out", tmp_path), ("out.txt", tmp_path / "secret.txt"), ("loop", "loop")):
        (Path(root) / name).symlink_to(target)
    (Path(root) / "in.txt").symlink_to("kept.txt")
    assert api.get(f"{URL}/{id}/artifact", params={"path": "in.txt"}).text == "hello"
    for path, status in (("out/secret.txt", 400), ("out.txt", 400), ("loop", 404), ("x" * 5000, 404)):
        assert api.get(f"{URL}/{id}/artifact", params={"path": path}).status_code == status, path


def test_saved_models_are_listed_as_submarine_does_and_registered_by_what_is_listed(
    api: httpx.Client, run: tuple[str, str]
) -> None:
    id, key = run
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    mlflow = tracking.client()
    assert api.get(f"{URL}/artifacts/{id}").json()["result"] == []
    put_texts(tracking, key, {"logs/worker-0.log": "x", "plot.txt": "x"})
    own = mlflow.get_run(key).info.experiment_id
    models = [mlflow.create_logged_model(own, name, source_run_id=key).model_id for name in ("first", "1")]
    from mlflow.entities import LoggedModelOutput

    mlflow.log_outputs(key, [LoggedModelOutput(model_id, 0) for model_id in models])
    listed = api.get(f"{URL}/artifacts/{id}").json()["result"]
    assert listed == [f"s3://submarine/experiment/{id}/1/", f"s3://submarine/experiment/{id}/2/", "plot.txt"]
    found = [
        (listed[0], models[0]), (listed[1], models[1]), (f"experiment/{id}/1", models[0]), ("first", models[0]), ("1", models[1]),
    ]  # fmt: skip
    for base_dir, model_id in found:
        body = {"name": f"listed-{id[-4:]}", "experimentId": id}
        made = api.post("/api/v1/model-version", params={"baseDir": base_dir}, json=body)
        assert made.status_code == 200, made.text
        version = max(mlflow.search_model_versions(f"name='{body['name']}'"), key=lambda one: int(one.version))
        assert version.source == f"models:/{model_id}", base_dir
    refused = api.post("/api/v1/model-version", params={"baseDir": "experiment/other/1"}, json=body)
    assert refused.status_code == 400 and "is not of the experiment" in refused.json()["message"]


def test_artifacts_are_pages_on_the_contents_origin_alone(api: httpx.Client, run: tuple[str, str]) -> None:
    id, key = run
    app = api.app  # type: ignore[attr-defined]
    put_texts(app.state.platform.tracking, key, {"report.html": "<script>1</script>", "in/plot.svg": "<svg/>"})
    click = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
    content = TestClient(app, base_url="http://127.0.0.1:32081", follow_redirects=False)
    for path, kind in (("report.html", "text/html; charset=utf-8"), ("in/plot.svg", "image/svg+xml")):
        there = api.get(f"/artifact/{id}/{path}", headers=click, follow_redirects=False).headers["location"]
        shown = content.get(content.get(there, headers=click).headers["location"], headers=click)
        assert shown.status_code == 200 and shown.headers["content-type"] == kind
        policy = shown.headers["content-security-policy"]
        assert "sandbox allow-scripts" in policy and "allow-same-origin" not in policy
    assert content.get(f"/artifact/{id}x/report.html", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 401

    for url in (
        f"{URL}/{id}/artifact?path=report.html",
        f"/mlflow/get-artifact?path=report.html&run_uuid={key}",
        f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{_stored(app, key)}/report.html",
        f"/mlflow/ajax-api/2.0/mlflow-artifacts/artifacts/{_stored(app, key)}/report.html",
    ):
        got = api.get(url, headers={**click, "Accept": "text/html"})
        assert got.status_code == 200 and "<script>" in got.text, url
        assert got.headers["content-disposition"].startswith("attachment"), url
        assert got.headers.get_list("x-content-type-options") == ["nosniff"], url
        assert not url.startswith("/mlflow") or got.headers["content-security-policy"] == "sandbox", url
    assert "sandbox" not in api.get("/mlflow/", headers=click).headers.get("content-security-policy", "")


def _stored(app: Any, key: str) -> str:
    uri = str(app.state.platform.tracking.client().get_run(key).info.artifact_uri)
    return uri.removeprefix("mlflow-artifacts:/")


def test_artifacts_are_written_as_they_come(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    pieces: list[int] = []
    write = LocalArtifactRepository.log_artifact_from_async_stream

    async def noted(self: Any, chunks: Any, *arguments: Any, **more: Any) -> None:
        async def counted() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                pieces.append(len(chunk))
                yield chunk

        await write(self, counted(), *arguments, **more)

    monkeypatch.setattr(LocalArtifactRepository, "log_artifact_from_async_stream", noted)
    for number, prefix in enumerate(("api", "ajax-api")):
        path = f"/mlflow/{prefix}/2.0/mlflow-artifacts/artifacts/streamed/a%20b{number}"
        assert api.put(path, content=b"x" * 100_000).status_code == 200
        assert api.get(path).content == b"x" * 100_000
    assert sum(pieces) == 200_000
    assert api.put("/mlflow/api/2.0/mlflow-artifacts/artifacts/a/../../x", content=b"x").status_code in (400, 404)
    assert api.put("/mlflow/api/2.0/mlflow-artifacts/artifacts/a/%2e%2e/%2e%2e/x", content=b"x").status_code in (
        400,
        404,
    )
