"""Models on Ray Serve: the quickstart from nothing to predictions, and models that other tools saved."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.client.errors import ApiError
from submarine_ray.client.models import ServeClient
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray


@pytest.mark.long
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_quickstart(platform: RunningPlatform, framework: str) -> None:
    """From nothing to predictions over HTTP; then what the endpoint says to bad input."""
    pytest.importorskip("torch" if framework == "pytorch" else "tensorflow")
    done = platform.cli("quickstart", "--framework", framework, timeout=300)
    assert "Held-out images, over HTTP" in done.stdout and done.stdout.count(" yes ") >= 9
    endpoint = next(
        e for e in platform.client.service.call("GET", "/api/v1/serve") if e["modelName"] == f"quickstart-{framework}"
    )
    _check_endpoint(endpoint, f"quickstart-{framework}")


def _check_endpoint(endpoint: dict[str, str], model: str) -> None:
    base = endpoint["invocationsUrl"].removesuffix("/invocations")
    assert httpx.get(f"{base}/v2/health/ready").json() == {"ready": True}
    row = [0.0] * 64
    tensor = {"name": "x", "shape": [2, 64], "datatype": "FP32", "data": row + row}
    answer = httpx.post(endpoint["url"], json={"inputs": [tensor]}).json()
    assert answer["model_name"] == model and answer["outputs"][0]["shape"] == [2, 10]
    for bad in ({"inputs": [[1, 2]]}, {"inputs": [["a"] * 64]}, {"input": 1}):
        refused = httpx.post(f"{base}/invocations", json=bad)
        assert refused.status_code == 400 and "float32 tensor of shape [-1, 64]" in refused.json()["error"]
    assert httpx.post(f"{base}/invocations", content=b"").status_code == 400
    assert httpx.post(f"{base}/invocations", json={"inputs": [row]}).status_code == 200


def _check_metrics_and_scale(platform: RunningPlatform, endpoint: dict[str, Any], refusals: int) -> None:
    """What the endpoint has had to do is known, and while it is scaled every request is answered."""
    serving = ServeClient(platform.url)
    at = (endpoint["modelName"], endpoint["modelVersion"])
    body = serving.service.call("GET", f"/api/v1/model-version/{at[0]}/{at[1]}/signature")["example"]

    def metrics() -> dict[str, Any]:
        found = serving.metrics(*at)
        return found if found["known"] and found["errors"] >= refusals and found["latency"]["p99"] else {}

    found = wait_until(metrics, 60, "the cluster's metrics to have the requests")
    assert found["requests"] >= 3 and found["errors"] == refusals
    older = serving.figures(*at)
    assert older["requests"] == found["requests"] and isinstance(older["course"], list)
    (first,) = serving.replicas(*at)
    assert first["state"] == "RUNNING" and f"Loaded {at[0]}" in serving.replica_log(*at, first["replicaId"])
    for refused in (0, 1001, "many"):
        with pytest.raises(ApiError, match="replicas"):
            serving.service.call("PATCH", f"/api/v1/serve/{at[0]}/{at[1]}", json={"replicas": refused})
    with pytest.raises(ApiError, match="is not served"):
        serving.scale(at[0], 99, 2)
    with pytest.raises(ApiError, match="no replica"):
        serving.replica_log(*at, "nothing")
    assert serving.scale(*at, 2)["replicas"] == 2

    def is_scaled() -> bool:
        assert httpx.post(endpoint["invocationsUrl"], json=body).status_code == 200
        return sum(one["state"] == "RUNNING" for one in serving.replicas(*at)) == 2

    wait_until(is_scaled, 90, "two replicas")
    assert serving.wait_until_running(*at)["replicas"] == 2


def _check_traffic(platform: RunningPlatform, model: str, experiment_id: str, body: dict[str, Any]) -> None:
    """Two versions share a URL by weight; new weights are taken on without an unanswered request."""
    serving = ServeClient(platform.url)
    register = {"name": model, "experimentId": experiment_id}
    assert serving.service.call("POST", "/api/v1/model-version", json=register)["version"] == 2
    with pytest.raises(ApiError, match=f"version 2 of model '{model}' is not served"):
        serving.share_traffic(model, {1: 90, 2: 10})
    serving.create_serve(model, 2)
    serving.wait_until_running(model, 2)
    for refused in ({}, {1: 0}, {1: -1}, {0: 5}, {1: 2000}):
        with pytest.raises(ApiError, match="weight"):
            serving.share_traffic(model, refused)
    url = serving.share_traffic(model, {1: 50, 2: 50})["invocationsUrl"]
    wait_until(lambda: serving.get_traffic(model)["status"] == "Running", 90, "the shared URL answers")

    def versions(number: int) -> list[str]:
        found = [httpx.post(url, json=body) for _ in range(number)]
        assert {one.status_code for one in found} == {200} and found[0].json()["predictions"] == pytest.approx([210])
        return [one.headers["x-model-version"] for one in found]

    assert 10 < versions(60).count("2") < 50
    assert httpx.post(url, json={"inputs": 1}).status_code == 400
    before = serving.traffic_metrics(model)  # what the pages have shown so far
    got = versions(40)

    def counted() -> dict[str, Any]:
        found = serving.traffic_metrics(model)
        passed = [one["requests"] for one in found["versions"]]
        return found if found["requests"] == 101 == sum(passed) else {}

    found = wait_until(counted, 15, f"the pages to show 101 requests, and not {before['requests']}")
    assert found["errors"] == 1 == sum(one["errors"] for one in found["versions"]) and found["latency"]["p99"]
    assert [one["wanted"] for one in found["versions"]] == [0.5, 0.5] and len(got) == 40
    assert sum(one["share"] for one in found["versions"]) == pytest.approx(1)
    each = [serving.metrics(model, version)["requests"] for version in (1, 2)]
    assert each[1] == found["versions"][1]["requests"] and each[0] > found["versions"][0]["requests"]  # its own URL too
    assert "50.0 %" in platform.cli("get", "traffic", model).stdout
    with pytest.raises(ApiError, match="change the weights first"):
        serving.delete_serve(model, 2)
    serving.share_traffic(model, {1: 1, 2: 0})
    wait_until(lambda: versions(10).count("1") == 10, 60, "all of it goes to version 1")
    serving.stop_sharing(model)
    with pytest.raises(ApiError, match="not shared out"):
        serving.get_traffic(model)
    wait_until(lambda: httpx.post(url, json=body).status_code == 404, 60, "the shared URL is gone")
    serving.delete_serve(model, 2)


def test_quickstart_on_bad_data_says_so(platform: RunningPlatform, tmp_path: Path) -> None:
    done = platform.cli("quickstart", "--data", str(tmp_path), check=False)
    assert done.returncode == 1 and "holds no MNIST files" in done.stderr


@pytest.mark.long
def test_a_model_that_mlflow_itself_saved_is_registered_served_and_taken_down(
    platform: RunningPlatform, sklearn_experiment: str
) -> None:
    id = sklearn_experiment
    call = platform.client.service.call
    wrong = httpx.post(
        f"{platform.url}/api/v1/model-version",
        params={"baseDir": "nothing"},
        json={"name": "prices", "experimentId": id},
    )
    assert wrong.status_code == 400 and "it saved: prices" in wrong.json()["message"]
    version = call("POST", "/api/v1/model-version", json={"name": "prices", "experimentId": id, "tags": ["houses"]})
    assert (version["version"], version["experimentId"], version["tags"]) == (1, id, ["houses"])
    url = platform.cli("serve", "prices", "1").stdout.strip()
    endpoint = ServeClient(platform.url).get_serve("prices", 1)
    assert endpoint["status"] == "Running" and endpoint["invocationsUrl"] == url
    asked = {"dataframe_split": {"columns": ["rooms", "floor"], "data": [[2, 1], [5, 0]]}}
    answer = httpx.post(endpoint["invocationsUrl"], json=asked)
    assert answer.json()["predictions"] == pytest.approx([210, 500])
    asked["dataframe_split"]["columns"] = ["rooms", "cellar"]
    refused = httpx.post(endpoint["invocationsUrl"], json=asked)
    assert refused.status_code == 400 and "the columns rooms (double), floor (double)" in refused.json()["error"]
    assert call("GET", "/api/v1/model-version/prices/1")["currentStage"] == "Production"
    signature = call("GET", "/api/v1/model-version/prices/1/signature")
    assert [(one["name"], one["type"]) for one in signature["inputs"]] == [("rooms", "double"), ("floor", "double")]
    assert httpx.post(endpoint["invocationsUrl"], json=signature["example"]).status_code == 200
    platform.ended(platform.submit("true", resources="cpu=4"), 60)  # an endpoint keeps no experiment from starting
    call("DELETE", "/api/v1/serve", json={"modelName": "prices", "modelVersion": 1})
    wait_until(lambda: "prices" not in [e["modelName"] for e in call("GET", "/api/v1/serve")], 60, "it is taken down")
    wait_until(
        lambda: httpx.post(endpoint["invocationsUrl"], json=asked).status_code == 404, 30, "HAProxy knows it too"
    )


@pytest.mark.long
def test_an_endpoint_is_scaled_and_shares_its_traffic(platform: RunningPlatform, sklearn_experiment: str) -> None:
    call = platform.client.service.call
    call("POST", "/api/v1/model-version", json={"name": "shared", "experimentId": sklearn_experiment})
    platform.cli("serve", "shared", "1")
    endpoint = ServeClient(platform.url).get_serve("shared", 1)
    asked = {"dataframe_split": {"columns": ["rooms", "floor"], "data": [[2, 1]]}}
    for body, status in ((asked, 200), (asked, 200), ({"inputs": 1}, 400)):
        assert httpx.post(endpoint["invocationsUrl"], json=body).status_code == status
    _check_metrics_and_scale(platform, endpoint, refusals=1)
    _check_traffic(platform, "shared", sklearn_experiment, asked)
    call("DELETE", "/api/v1/serve", json={"modelName": "shared", "modelVersion": 1})


def _logged(platform: RunningPlatform, name: str, model: Any, **more: Any) -> None:
    """Version 1 of a model that a function of the test is; cloudpickle takes its class along."""
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    mlflow.set_tracking_uri(f"{platform.url}/mlflow")
    signature = ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1,))]))
    with mlflow.start_run(experiment_id="0"):
        mlflow.pyfunc.log_model(
            name="model",
            python_model=model,
            signature=signature,
            registered_model_name=name,
            pip_requirements=[],
            **more,
        )


def _moody() -> Any:
    import mlflow

    class Moody(mlflow.pyfunc.PythonModel):
        """Does what a number says."""

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            import os
            import time

            mood = model_input[0]
            if mood == -1:
                raise SystemExit(3)
            if mood == -2:
                time.sleep(4)
            if mood == -3:
                os._exit(1)
            return model_input * 2

    return Moody()


def _broken(failing: str) -> Any:
    import mlflow

    class Broken(mlflow.pyfunc.PythonModel):
        def load_context(self, context):  # type: ignore[no-untyped-def]
            if failing == "load":
                raise RuntimeError("the weights file is corrupt")

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            raise ValueError(f"nobody can answer {len(model_input)} rows")

    return Broken()


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_is_slow_exits_crashes_or_cannot_answer(platform: RunningPlatform) -> None:
    """Health answers meanwhile; who asked hears of it; the replica is replaced; the endpoint says what happened."""
    import numpy as np

    serving = ServeClient(platform.url)
    _logged(platform, "moody", _moody())
    _logged(platform, "corrupt", _broken("load"))
    _logged(platform, "wrong", _broken("predict"), input_example=np.ones(2))
    serving.create_serve("moody", 1)
    endpoint = serving.wait_until_running("moody", 1)
    ask = endpoint["invocationsUrl"]
    live = ask.removesuffix("/invocations") + "/v2/health/live"

    def mood(number: int) -> httpx.Response:
        return httpx.post(ask, json={"inputs": [number]}, timeout=15)

    with ThreadPoolExecutor(1) as pool, httpx.Client() as probe:
        slow = pool.submit(mood, -2)
        wait_until(slow.running, 5, "it is asked")
        answered = 0
        while not slow.done():
            assert probe.get(live, timeout=15).status_code == 200
            answered += 1
        assert slow.result().status_code == 200 and answered > 10  # behind its four seconds there would be one or two
    for name in ("corrupt", "wrong"):
        serving.create_serve(name, 1)

    first = serving.replicas("moody", 1)[0]["replicaId"]
    assert mood(-1).status_code == 500 and "SystemExit" in mood(-1).json()["error"]
    assert "This replica is to be replaced: the model raised SystemExit" in serving.replica_log("moody", 1, first)
    second = _replaced(serving, first)
    assert mood(2).json() == {"predictions": [4]}
    with contextlib.suppress(httpx.RemoteProtocolError):  # HAProxy drops the connection of a process that has ended
        assert mood(-3).status_code >= 500
    _replaced(serving, second)
    history = [event["message"] for event in serving.get_serve("moody", 1)["events"]]
    assert [said for said in history if "another is started in its place" in said]
    _check_messages(serving)


def _replaced(serving: ServeClient, before: str) -> str:
    """The new replica, once the endpoint runs with it."""

    def other() -> str:
        found = [one["replicaId"] for one in serving.replicas("moody", 1) if one["state"] == "RUNNING"]
        is_running = serving.get_serve("moody", 1)["status"] == "Running"
        return found[0] if is_running and found and before not in found else ""

    return str(wait_until(other, 60, "the replica is replaced"))


def _check_messages(serving: ServeClient) -> None:
    """Of those that never ran; then all are taken down."""
    for name, said in (
        ("corrupt", "The model cannot be loaded: RuntimeError: the weights file is corrupt"),
        ("wrong", "does not answer its saved input example: .*ValueError: nobody can answer 2 rows"),
    ):
        failed = wait_until(
            lambda name=name: (found := serving.get_serve(name, 1))["status"] == "Failed" and found, 60, "it has failed"
        )
        assert re.search(said, failed["message"]), failed
    for name in ("moody", "corrupt", "wrong"):
        serving.delete_serve(name, 1)
