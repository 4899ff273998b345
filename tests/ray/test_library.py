"""Each template of the library, run for real by one line. pytorch-mnist and tensorflow-mnist run in the quickstart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from submarine_ray.client.models import ModelClient, ServeClient
from submarine_ray.templates import library
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray
CRITEO = Path(__file__).parents[3] / "shared" / "data" / "criteo_sample.txt"


def run(platform: RunningPlatform, name: str, **params: object) -> tuple[str, str, dict[str, float]]:
    """The experiment's id, what was printed, and its last metrics."""
    arguments = [part for key, value in params.items() for part in ("-p", f"{key}={value}")]
    done = platform.cli("run-template", name, *arguments)
    id = done.stderr.split()[0]
    return id, done.stdout, {metric["key"]: metric["value"] for metric in platform.client.metrics(id)}


@pytest.mark.long
def test_sklearn_tabular_on_its_own_table(platform: RunningPlatform) -> None:
    id, output, metrics = run(platform, "sklearn-tabular", model_name="tumours")
    assert metrics["accuracy"] > 0.93 and metrics["auc"] > 0.97 and "accuracy" in output
    assert "feature_importances.png" in platform.client.list_artifacts(id)
    (version,) = ModelClient(platform.url).list_versions("tumours")
    assert version["experimentId"] == id


@pytest.mark.long
def test_sklearn_tabular_on_a_users_table_is_served_with_its_columns(platform: RunningPlatform, tmp_path: Path) -> None:
    table = pd.DataFrame({"rooms": [float(n % 7) for n in range(200)], "town": ["a", "b"] * 100})
    table["price"] = 100 * table.rooms + 50 * (table.town == "b") + 0.5
    table.to_parquet(tmp_path / "houses.parquet")
    _, _, metrics = run(
        platform,
        "sklearn-tabular",
        data=tmp_path / "houses.parquet",
        target="price",
        model="linear",
        model_name="houses",
    )
    assert metrics["r2"] > 0.99
    url = platform.cli("serve", "houses", "1").stdout.strip()
    asked = {"dataframe_split": {"columns": ["rooms", "town"], "data": [[3.0, "b"]]}}
    assert httpx.post(url, json=asked).json()["predictions"] == pytest.approx([350.5], abs=5)
    ServeClient(platform.url).delete_serve("houses", 1)
    unknown = platform.cli(
        "run-template", "sklearn-tabular", "-p", f"data={tmp_path}/houses.parquet", "-p", "target=rent", check=False
    )
    assert unknown.returncode == 1 and "no column 'rent'; it has rooms, town, price" in unknown.stdout


@pytest.mark.long
def test_shell_python_and_ray_script(platform: RunningPlatform, tmp_path: Path) -> None:
    assert run(platform, "shell", command="echo $((6 * 7)) | tee answer")[1] == "[worker-0] 42\n"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@e"]
    (tmp_path / "hello.py").write_text("import sys; print('hello', sys.argv[1])")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "m"]):
        subprocess.run([*git, *command], check=True)
    output = run(platform, "python", repository=f"file://{tmp_path}", script="hello.py world")[1]
    assert output == "[worker-0] hello world\n"
    _, output, metrics = run(platform, "ray-script", limit=1000, tasks=4)
    assert "168 primes below 1000" in output and metrics == {"primes": 168.0}


def test_what_is_wrong_is_one_line(platform: RunningPlatform) -> None:
    for arguments, said in (
        (("no-such-template",), "ExperimentTemplate not found"),
        (("shell",), "params.command: is required"),
        (("shell", "-p", "command"), "is not KEY=VALUE"),
        (("shell", "-p", "command=true", "-p", "comand=false"), "no such parameter"),
    ):
        done = platform.cli("run-template", *arguments, check=False)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.long
def test_notebook_job_keeps_the_executed_notebook_even_of_a_failure(platform: RunningPlatform, tmp_path: Path) -> None:
    id, output, metrics = run(platform, "notebook-job", values='{"rate": 0.1, "steps": 2}')
    assert "0.8100 after 2 steps of 0.1" in output and metrics == {"value": pytest.approx(0.81)}
    kept = platform.client.download_artifact(id, "executed-example.ipynb", tmp_path / "kept.ipynb")
    assert "0.8100 after 2 steps" in kept.read_text()
    params = platform.client.service.call("GET", f"/api/v1/experiment/{id}/params")
    assert {"replica": "worker-0", "key": "rate", "value": "0.1"} in params

    broken = json.loads((library.directory() / "notebook-job" / "example.ipynb").read_text())
    broken["cells"][2]["source"] = ["raise ValueError('no data for ' + month)"]
    (tmp_path / "broken.ipynb").write_text(json.dumps(broken))
    values = '{"month": "it\'s \\"May\\""}'
    failed = platform.cli(
        "run-template", "notebook-job", "-p", f"notebook={tmp_path}/broken.ipynb", "-p", f"values={values}", check=False
    )
    assert failed.returncode == 1 and 'failed: ValueError: no data for it\'s "May"' in failed.stdout
    kept = platform.client.download_artifact(
        failed.stderr.split()[0], "executed-broken.ipynb", tmp_path / "failed.ipynb"
    )
    assert "ValueError" in kept.read_text()


@pytest.mark.long
def test_batch_predict_scores_a_whole_table(platform: RunningPlatform, tmp_path: Path, sklearn_experiment: str) -> None:
    ModelClient(platform.url).register("batch", sklearn_experiment)
    table = pd.DataFrame({"rooms": [float(n % 5) for n in range(1000)], "floor": [float(n % 2) for n in range(1000)]})
    table.to_parquet(tmp_path / "table.parquet")
    _, output, metrics = run(
        platform, "batch-predict", model="batch", data=tmp_path / "table.parquet", output=tmp_path / "out"
    )
    assert "1000 rows scored" in output and metrics["rows"] == 1000
    scored = pd.read_parquet(tmp_path / "out")
    assert len(scored) == 1000 and (scored.prediction - 100 * scored.rooms - 10 * scored.floor).abs().max() < 1e-6
    missing = platform.cli(
        "run-template", "batch-predict", "-p", "model=batch", "-p", "version=9", "-p", "data=/x", check=False
    )
    assert missing.returncode == 1 and "there is no version 9 of model 'batch'" in missing.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", ["xgboost-tabular", "lightgbm-tabular"])
def test_boosted_trees_on_two_workers_stop_early_and_are_served(platform: RunningPlatform, name: str) -> None:
    id, output, metrics = run(platform, name, model_name=name)
    assert metrics["accuracy"] > 0.92 and metrics["auc"] > 0.98 and "accuracy" in output
    curve = platform.client.metrics(id, "validation_auc")
    assert len(curve) > 1 and curve[0]["step"] == 10  # live, from the workers
    used = [p["value"] for p in platform.client.service.call("GET", f"/api/v1/experiment/{id}/params")]
    assert int(used[0]) < 200
    assert "feature_importances.png" in platform.client.list_artifacts(id)
    url = platform.cli("serve", name, "1").stdout.strip()
    columns = load_breast_cancer().feature_names.tolist()
    asked = {"dataframe_split": {"columns": columns, "data": [[1.0] * len(columns)]}}
    (probability,) = httpx.post(url, json=asked).json()["predictions"]
    assert 0 <= probability <= 1
    ServeClient(platform.url).delete_serve(name, 1)


@pytest.mark.long
def test_boosted_trees_refuse_text(platform: RunningPlatform, tmp_path: Path) -> None:
    pd.DataFrame({"town": ["a", "b"] * 10, "target": [0, 1] * 10}).to_csv(tmp_path / "a.csv", index=False)
    done = platform.cli("run-template", "xgboost-tabular", "-p", f"data={tmp_path}/a.csv", check=False)
    assert done.returncode == 1 and "the column 'town' is no number; encode it" in done.stdout


@pytest.mark.long
def test_deepfm_comes_near_the_truth_and_is_served(platform: RunningPlatform) -> None:
    id, _, metrics = run(platform, "deepfm-ctr", model_name="clicks", **{"training.embedding_size": 8})
    assert metrics["bayes_auc"] - metrics["final_auc"] < 0.01
    assert len(platform.client.metrics(id, "loss")) > 1
    url = platform.cli("serve", "clicks", "1").stdout.strip()
    rows = [[[float(id) for id in range(1, 300, 30)], [1.0] * 10]] * 2
    answers = httpx.post(url, json={"inputs": rows}).json()["predictions"]
    assert len(answers) == 2 and 0 < answers[0][0] < 1
    ServeClient(platform.url).delete_serve("clicks", 1)


@pytest.mark.long
@pytest.mark.skipif(not CRITEO.exists(), reason="needs shared/data/criteo_sample.txt")
def test_deepfm_overfits_two_hundred_rows_of_criteos(platform: RunningPlatform) -> None:
    params = {
        "input.train_data": CRITEO,
        "input.valid_data": CRITEO,
        "input.test_data": CRITEO,
        "input.type": "criteo",
        "training.workers": 1,
        "training.num_epochs": 30,
        "training.batch_size": 32,
        "training.feature_size": 5000,
        "training.learning_rate": 0.01,
        "training.dropout": "[0.0, 0.0]",
    }
    id, _, metrics = run(platform, "deepfm-ctr", **params)
    assert metrics["final_auc"] > 0.99
    target = platform.home.root / "predictions.txt"
    platform.client.download_artifact(id, "predictions.txt", target)
    assert len(target.read_text().splitlines()) == 200


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "params", "metric", "bound"),
    [
        ("hpo-pytorch", {"trials": 3, "epochs": 5}, "accuracy", 0.85),
        ("hpo-xgboost", {"trials": 3, "rounds": 60}, "validation_logloss", -0.2),
        ("automl-tabular", {"trials": 4}, "score", 0.95),
    ],
)
def test_a_sweep_of_the_library_registers_its_winner(
    platform: RunningPlatform, name: str, params: dict[str, int], metric: str, bound: float
) -> None:
    id, output, _ = run(platform, name, **params)
    sweep = platform.client.sweep(id)
    assert len(sweep["trials"]) == params["trials"] and sweep["metric"] == metric
    value = sweep["best"]["metrics"][metric]
    assert (value if sweep["mode"] == "max" else -value) > bound
    (version,) = ModelClient(platform.url).list_versions(name)
    assert version["experimentId"] == id and f"saved model {name} version 1" in output
