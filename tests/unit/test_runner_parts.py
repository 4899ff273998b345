from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from submarine_ray.client.spool import Run
from submarine_ray.runner import environment, fetching
from submarine_ray.runner.environment import HOOK, SHIM, ReplicaLocation, python_path
from submarine_ray.runner.errors import CodeSyncFailed
from submarine_ray.runner.process import argv
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Code, Launch, Replica, Tracking
from submarine_ray.spec.plan import plan_launch
from tests.conftest import spec

LOCATIONS = [
    ReplicaLocation("n1", "10.0.0.1", 1000),
    ReplicaLocation("n2", "10.0.0.2", 2000),
    ReplicaLocation("n1", "10.0.0.1", 3000),
]


def launch(framework: str, roles: dict[str, int]) -> Launch:
    tasks = {role: {"replicas": count, "resources": "cpu=1"} for role, count in roles.items()}
    document = spec(meta={"name": "t", "framework": framework, "cmd": "true"}, spec=tasks)
    return plan_launch(ExperimentSpec.model_validate(document), "e", "e")


def with_gpus(plan: Launch, gpu: float) -> Launch:
    return replace(plan, replicas=tuple(replace(replica, gpu=gpu) for replica in plan.replicas))


def test_torch_variables_number_ranks_by_node() -> None:
    found = environment.rendezvous_variables(launch("pytorch", {"Master": 1, "Worker": 2}), 2, LOCATIONS)
    assert found == {
        "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1000", "WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2", "NODE_RANK": "0", "GROUP_RANK": "0", "SUBMARINE_TORCH_BACKEND": "gloo",
    }  # fmt: skip


def test_a_rank_with_a_gpu_finds_it_under_its_local_rank() -> None:
    plan = with_gpus(launch("pytorch", {"Worker": 3}), 1)
    locations = [
        ReplicaLocation("n1", "10.0.0.1", 1, ("0",)),
        ReplicaLocation("n1", "10.0.0.1", 2, ("1",)),
        ReplicaLocation("n2", "10.0.0.2", 3, ("0",)),
    ]
    for rank in range(3):
        found = environment.rendezvous_variables(plan, rank, locations)
        assert (found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"], found["SUBMARINE_TORCH_BACKEND"]) == ("0", "1", "nccl")
    shared = [*locations[:1], ReplicaLocation("n1", "10.0.0.1", 2, ("0",)), locations[2]]
    assert environment.sharing(plan, shared) == ["worker-0", "worker-1"]
    assert environment.rendezvous_variables(plan, 2, shared)["SUBMARINE_TORCH_BACKEND"] == "gloo"


@pytest.mark.parametrize(
    ("framework", "gpu", "hidden", "gentle"),
    [("PyTorch", 0, True, False), ("PyTorch", 0.5, False, True), ("PyTorch", 1, False, False), ("Ray", 1, True, False)],
)
def test_who_asked_for_no_gpu_sees_none(framework: str, gpu: float, hidden: bool, gentle: bool) -> None:
    found = environment.platform_variables(with_gpus(launch(framework, {"Worker": 1}), gpu), 0, "")
    assert (found.get("CUDA_VISIBLE_DEVICES") == "", found.get("HIP_VISIBLE_DEVICES") == "-1") == (hidden, hidden)
    assert ("TF_FORCE_GPU_ALLOW_GROWTH" in found) == gentle


@pytest.mark.parametrize(
    ("workers", "gpu", "backend"), [(2, 0.5, "gloo"), (2, 0.6, None), (2, 1, None), (2, 0, None), (1, 0.5, None)]
)
def test_train_workers_that_may_share_a_gpu_use_gloo(
    workers: int, gpu: float, backend: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    from submarine_ray.runner import train

    assert train._backend(with_gpus(launch("PyTorch", {"Worker": workers}), gpu)) == backend
    assert ("they use gloo" in capsys.readouterr().out) == (backend == "gloo")


def test_tf_config_has_roles_and_leaves_the_evaluator_out_of_the_cluster() -> None:
    plan = launch("TensorFlow", {"Evaluator": 1, "Ps": 1, "Chief": 1})
    assert [r.name for r in plan.replicas] == ["chief-0", "ps-0", "evaluator-0"]
    config = json.loads(environment.rendezvous_variables(plan, 2, LOCATIONS)["TF_CONFIG"])
    assert config["cluster"] == {"chief": ["10.0.0.1:1000"], "ps": ["10.0.0.2:2000"]}
    assert config["task"] == {"type": "evaluator", "index": 0}


def test_a_single_tensorflow_replica_gets_no_tf_config() -> None:
    assert environment.rendezvous_variables(launch("TensorFlow", {"Worker": 1}), 0, LOCATIONS[:1]) == {}


def test_xgboost_gets_both_spellings() -> None:
    found = environment.rendezvous_variables(launch("XGBoost", {"Master": 1, "Worker": 2}), 1, LOCATIONS)
    assert found["DMLC_TRACKER_URI"] == found["MASTER_ADDR"] == "10.0.0.1"
    assert found["WORKER_ADDRS"] == "10.0.0.2,10.0.0.1"


def test_commands_are_split_with_quotes_and_kubernetes_references_without_a_shell() -> None:
    replica = Replica("worker", 0, "python 'my script.py' --dir=$(LOGS) $HOME; \\\n  true")
    assert argv(replica, {"LOGS": "/a b"}) == ["python", "my script.py", "--dir=/a b", "$HOME;", "true"]


def test_a_role_overrides_the_experiment() -> None:
    document = spec(
        meta={"name": "t", "framework": "TensorFlow", "cmd": "a", "envVars": {"X": "1", "Y": "1"}},
        spec={"Worker": {"replicas": 1}, "Ps": {"replicas": 1, "cmd": "b", "envVars": {"X": "2"}}},
    )
    worker, ps = plan_launch(ExperimentSpec.model_validate(document), "e", "e").replicas
    assert (worker.command, worker.env) == ("a", {"X": "1", "Y": "1"})
    assert (ps.command, ps.env) == ("b", {"X": "2", "Y": "1"})


def test_launches_travel_whole() -> None:
    plan = launch("pytorch", {"Worker": 2})
    assert Launch.loads(plan.dumps()) == plan


def test_git_and_local_code(tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "train.py").write_text("print(1)")
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    fetching.fetch(Code("git", f"file://{repository}", "main"), tmp_path / "cloned")
    fetching.fetch(Code("local", str(repository)), tmp_path / "copied")
    assert (tmp_path / "cloned" / "train.py").exists()
    assert (tmp_path / "copied" / "train.py").exists()
    with pytest.raises(CodeSyncFailed, match="git could not fetch"):
        fetching.fetch(Code("git", f"file://{repository}", "no-such-branch"), tmp_path / "none")


def test_import_submarine_leads_to_the_real_package_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert python_path({"PYTHONPATH": "/mine"}) == {"PYTHONPATH": f"/mine{os.pathsep}{SHIM}"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    assert python_path({"PYTHONPATH": "/mine"}) == {}
    ours_first = python_path({"PYTHONPATH": "/mine", "SUBMARINE_SHIM": "1"})
    assert ours_first == {"PYTHONPATH": f"{SHIM}{os.pathsep}/mine"}


def test_a_server_of_the_users_own_gets_neither_run_nor_token_and_what_is_logged_stays_here() -> None:
    own = Tracking("http://here/mlflow", "r", "1", "secret")
    for uri, theirs in (("sqlite:///mine.db", True), ("http://elsewhere", True), ("http://here/mlflow/", False)):
        plan = launch("Python", {"Worker": 1})
        replica = replace(plan.replicas[0], env={"MLFLOW_TRACKING_URI": uri})
        env = environment.platform_variables(replace(plan, replicas=(replica,), tracking=own), 0, "spool") | replica.env
        assert ("MLFLOW_RUN_ID" not in env, "MLFLOW_TRACKING_TOKEN" not in env) == (theirs, theirs)
        assert env["MLFLOW_TRACKING_URI"] == uri
        run = Run.from_env(env)
        assert run and (run.uri, run.run_id, run.mlflow_experiment_id, run.token) == (
            "http://here/mlflow",
            "r",
            "1",
            "secret",
        )


def test_what_lets_mlflow_scripts_run_comes_first_where_there_is_a_run() -> None:
    found = python_path({"PYTHONPATH": "/mine", "MLFLOW_RUN_ID": "r"})
    assert found == {"PYTHONPATH": os.pathsep.join((str(HOOK), "/mine", str(SHIM)))}
