"""What versions were made of, and what was made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.core.clock import now_ms

VERSIONS, EXPERIMENTS = "/api/v1/model-version", "/api/v1/experiment"
MLMODEL = """flavors:
  python_function:
    env:
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    python_version: 3.11.7
  sklearn:
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
model_size_bytes: 5535
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
"""
SPEC = {"meta": {"name": "maker", "framework": "Python", "cmd": "true"}, "spec": {"Worker": {"resources": "cpu=1"}}}


class Made:
    """A model of one version that a run has saved, with MLflow's client."""

    def __init__(self, api: httpx.Client) -> None:
        self.platform = api.app.state.platform  # type: ignore[attr-defined]
        directory = Path(self.platform.settings.artifacts) / "made"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "MLmodel").write_text(MLMODEL)
        (directory / "requirements.txt").write_text("# by MLflow\nmlflow==3.17.2\nnumpy\n")
        self.mlflow = self.platform.tracking.client()
        self.experiment = api.post(EXPERIMENTS, json=SPEC).json()["result"]["experimentId"]
        self.run = self.mlflow.create_run("0", tags={"submarine.experiment_id": self.experiment}).info.run_id
        self.mlflow.log_param(self.run, "lr", "0.1")
        for step, value in enumerate((0.5, float("nan"), 0.25)):
            self.mlflow.log_metric(self.run, "loss", value, step=step)
        self.mlflow.create_registered_model("made")
        tags = {"submarine.experiment_id": self.experiment}
        self.mlflow.create_model_version("made", str(directory), self.run, tags)


@pytest.fixture
def made(api: httpx.Client) -> Iterator[Made]:
    found = Made(api)
    yield found
    api.request("DELETE", "/api/v1/serve", json={"modelName": "made", "modelVersion": 1})
    found.mlflow.delete_registered_model("made")
    api.delete(f"{EXPERIMENTS}/{found.experiment}")


def test_a_version_has_the_results_of_its_run_and_what_its_files_say(api: httpx.Client, made: Made) -> None:
    found = api.get(f"{VERSIONS}/made/1/details").json()["result"]
    assert found == {
        "name": "made", "version": 1, "metrics": {"loss": 0.25}, "params": {"lr": "0.1"},
        "files": {"flavors": ["python_function", "sklearn"], "sizeBytes": 5535, "mlflowVersion": "3.17.2",
                  "pythonVersion": "3.11.7", "requirements": ["mlflow==3.17.2", "numpy"]},
    }  # fmt: skip
    assert api.get(f"{VERSIONS}/made/7/details").status_code == 404


def test_a_version_without_files_or_run_has_no_details_and_hides_none_of_the_others(
    api: httpx.Client, made: Made
) -> None:
    made.mlflow.create_model_version("made", "/nowhere")
    bare = {"name": "made", "version": 2, "metrics": {}, "params": {}, "files": None}
    assert api.get(f"{VERSIONS}/made/2/details").json()["result"] == bare
    service = made.platform.models
    assert [one.version for one in service.details("made", [2, 1, 9])] == [2, 1]


def test_a_version_tells_where_it_comes_from_and_where_it_went(api: httpx.Client, made: Made) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

    path = f"{VERSIONS}/made/1/lineage"
    data = Dataset("digits", "abc", "local", json.dumps({"uri": "/data/digits"}))
    made.mlflow.log_inputs(made.run, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    found = api.get(path).json()["result"]
    assert (found["runId"], found["experimentId"], found["trialId"]) == (made.run, made.experiment, None)
    assert found["datasets"] == [
        {"name": "digits", "digest": "abc", "sourceType": "local", "source": '{"uri": "/data/digits"}', "context": "training"}
    ]  # fmt: skip
    assert (found["endpoint"], found["usedBy"], found["ran"]["attempt"]) == (None, [], 1)
    api.post("/api/v1/serve", json={"modelName": "made", "modelVersion": 1})
    assert api.get(path).json()["result"]["endpoint"] == "'made-1' on cluster 'local'"
    saved = made.mlflow.create_logged_model("0", name="again", source_run_id=made.run)
    again = made.mlflow.create_model_version("made", f"models:/{saved.model_id}", made.run).version
    for experiment in (made.experiment, "experiment-1-0002"):
        user = made.mlflow.create_run("0", tags={"submarine.experiment_id": experiment}, start_time=now_ms())
        made.mlflow.log_inputs(user.info.run_id, models=[LoggedModelInput(saved.model_id)])
    assert api.get(f"{VERSIONS}/made/{again}/lineage").json()["result"]["usedBy"] == ["experiment-1-0002"]
    made.mlflow.delete_run(made.run)
    api.delete(f"{EXPERIMENTS}/{made.experiment}")
    assert api.get(path).status_code == 200


def test_who_registers_a_version_is_kept(api: httpx.Client, made: Made) -> None:
    saved = made.mlflow.create_logged_model("0", name="model", source_run_id=made.run)
    made.mlflow.log_outputs(made.run, [_output(saved.model_id)])
    with made.platform.database.session(write=True) as session:
        from submarine_ray.experiments.tables import ExperimentRow

        row = session.get(ExperimentRow, made.experiment)
        assert row is not None
        row.run_id = made.run
    body: dict[str, Any] = {"name": "made", "experimentId": made.experiment}
    assert api.post(VERSIONS, json=body | {"userId": "ada"}).json()["result"]["userId"] == "ada"
    assert "user" in api.post(VERSIONS, json=body).json()["result"]["userId"]  # who has sent the request


def _output(model_id: str) -> Any:
    from mlflow.entities import LoggedModelOutput

    return LoggedModelOutput(model_id, 0)
