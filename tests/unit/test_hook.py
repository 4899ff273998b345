"""Unmodified MLflow scripts in a replica, against a store in files: what scripts do to choose experiment, run or server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.runner import environment
from submarine_ray.runner.environment import HOOK
from submarine_ray.spec.launch import Launch, Replica, Tracking

SCRIPT = """
import os, sys, json, mlflow
from mlflow import MlflowClient

def told(uri):
    client = MlflowClient(uri)
    return [
        [run.info.run_id, run.info.run_name, sorted(run.data.metrics), run.data.tags.get("mlflow.parentRunId"),
         run.data.tags.get("submarine.started_by"), run.data.tags.get("submarine.experiment_id")]
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    ]
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An MLflow store, and a directory that has a sitecustomize of the user's."""
    directory = tmp_path_factory.mktemp("mlflow")
    (directory / "sitecustomize.py").write_text("import builtins\nbuiltins.of_the_user = True\n")
    return f"sqlite:///{directory}/mlflow.db", str(directory)


@pytest.fixture(scope="module")
def run(store: tuple[str, str]) -> Any:
    """Runs a script as a replica of an experiment of its own; (its run's id, what it printed, the store's runs)."""
    from mlflow import MlflowClient

    def start(script: str) -> tuple[str, str, list[Any]]:
        uri, directory = store
        client = MlflowClient(uri)
        own = client.create_experiment(os.urandom(4).hex())
        run_id = client.create_run(own).info.run_id
        launch = Launch("e-1", "e-1", "e", "Python", (Replica("worker", 0, "x"),), tracking=Tracking(uri, run_id, own))
        env = {**os.environ, **environment.platform_variables(launch, 0, ""), "PYTHONPATH": directory}
        env |= environment.python_path(env)
        assert env["PYTHONPATH"].startswith(str(HOOK))
        text = f"{SCRIPT}\n{script}\nprint('TOLD', json.dumps(told({uri!r})))\nassert of_the_user"
        done = subprocess.run(
            [sys.executable, "-c", text], env=env, capture_output=True, text=True, timeout=120, cwd=directory
        )
        assert done.returncode == 0, done.stderr
        runs = json.loads(done.stdout.split("TOLD ")[1])
        return run_id, done.stdout, [run for run in runs if run[0] == run_id or run[3] == run_id]

    return start


def test_a_script_that_sets_its_experiment_and_starts_several_runs(run: Any) -> None:
    own, said, runs = run(
        "found = mlflow.set_experiment('bug-own')\n"
        "assert mlflow.set_experiment(experiment_id=found.experiment_id).name == found.name\n"
        "with mlflow.start_run(): mlflow.log_metric('first', 1)\n"
        "with mlflow.start_run(run_name='again'):\n"
        "    mlflow.log_metric('second', 1)\n"
        "    with mlflow.start_run(run_name='inside', nested=True) as inner: mlflow.log_metric('third', 1)\n"
        "    assert inner.data.tags['submarine.experiment_id'] == 'e-1'\n"
    )
    assert (
        said.count("[submarine] mlflow.set_experiment('bug-own'): this script's runs belong to the experiment e-1") == 1
    )
    assert [run[2:] for run in runs] == [[["first"], None, None, None], [["second"], own, "worker-0", "e-1"]]
    assert runs[0][0] == own and runs[1][1] == "again"


def test_a_script_that_uses_a_server_of_its_own(run: Any) -> None:
    own, _, runs = run(
        "before = os.environ['MLFLOW_TRACKING_URI']\n"
        "mlflow.set_tracking_uri('sqlite:///own.db'); mlflow.set_experiment('mine')\n"
        "with mlflow.start_run(run_name='elsewhere'): mlflow.log_metric('there', 1)\n"
        "assert [r[1:4] for r in told('sqlite:///own.db')] == [['elsewhere', ['there'], None]]\n"
        "mlflow.set_tracking_uri(before); mlflow.set_experiment('mine')\n"
        "with mlflow.start_run(): mlflow.log_metric('here', 1)\n"
    )
    assert [(run[0], run[2]) for run in runs] == [(own, ["here"])]


def test_an_artifact_that_mlflow_stores_under_another_name_is_told_of(run: Any) -> None:
    names = ["a#1.txt", "q?x.txt", "%41.txt", "sub#1/in.txt"]
    kept = ["100% sure.txt", "a:b.txt", "naïve 日本.txt", "br[ack]et+&;.txt", "back\\\\slash.txt", "a%zz%41.txt"]
    _, said, _ = run(
        "from mlflow.store.artifact import http_artifact_repo as http\n"
        "sent = []\n"
        "http.http_request = lambda creds, endpoint, *_, **__: sent.append(endpoint)\n"
        "http.augmented_raise_for_status = lambda _: None\n"
        "repository = http.HttpArtifactRepository('http://service/artifacts')\n"
        f"for name in {[*names, *kept]!r}:\n"
        "    path, _, file = name.rpartition('/')\n"
        "    open(file, 'w').close(); repository.log_artifact(file, path or None)\n"
        f"assert len(sent) == {len(names) + len(kept)}\n"
    )
    told = [line.partition(": ")[0] for line in said.splitlines() if line.startswith("[submarine]")]
    stored = ["a", "q", "A.txt", "sub"]
    assert told == [
        f"[submarine] MLflow stores the artifact {name!r} as {other!r}"
        for name, other in zip(names, stored, strict=True)
    ]


def test_without_a_run_mlflow_is_as_it_is(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/m.db", "PYTHONPATH": str(HOOK)}
    script = "import mlflow; assert mlflow.set_experiment('mine').name == 'mine'"
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=60, cwd=tmp_path)


def test_any_sitecustomize_and_any_mlflow_are_as_without_the_hook(tmp_path: Path) -> None:
    files = {
        "sitecustomize/__init__.py": "from .inner import of_the_user",
        "sitecustomize/inner.py": "of_the_user = 7",
        "mlflow/__init__.py": "",
        "mlflow/tracking/__init__.py": "from . import fluent",
        "mlflow/tracking/fluent.py": "",  # of another age: it has nothing to be patched
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_EXPERIMENT_ID": "1", "PATH": os.environ["PATH"]}
    env["PYTHONPATH"] = os.pathsep.join([str(HOOK), str(tmp_path)])
    script = "import mlflow.tracking, sitecustomize; assert sitecustomize.of_the_user == 7"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
