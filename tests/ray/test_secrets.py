"""What a Ray cluster that others may look into keeps of an experiment: nothing secret, while it runs and afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import PREFIX, PURPOSE, Tokens
from submarine_ray.core.secrets import SecretBox
from submarine_ray.spec.launch import BEGIN_VARIABLE, TICKET_VARIABLE
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

VARIABLE, PASSWORD = "planted-variable-7d1f", "planted-password-9a3c"
# Logs by MLflow's own client with the attempt's token, and waits until it has been looked at.
SCRIPT = """
import os, sys, time, mlflow
assert os.environ["SUBMARINE_TOKEN"] == os.environ["MLFLOW_TRACKING_TOKEN"]
mlflow.log_metric("loss", 0.5)
import submarine_ray as submarine
submarine.log_metric("accuracy", 0.5)
try:
    submarine.ExperimentClient().list_experiments()
except submarine.ApiError as failure:
    print("refused", failure.code, flush=True)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.1)
"""
STATE = ("jobs", "workers", "actors", "tasks", "runtime_envs", "cluster_events")


@pytest.mark.long
def test_nothing_secret_is_in_what_a_registered_cluster_keeps(platform: RunningPlatform, tmp_path: Path) -> None:
    """A gang with code from git, and a sweep: two launches with all that is secret in them."""
    state = json.loads(platform.home.ray_state.read_text())
    token = platform.home.ray_token.read_text().strip()
    body = {"name": "looked-into", "address": state["address"], "token": token}
    platform.client.service.call("POST", "/api/v1/cluster", json=body)
    gate = tmp_path / "go"
    git = {"url": f"file://{_repository(tmp_path)}", "username": "somebody", "password": PASSWORD}
    meta = {
        "name": "secrets",
        "framework": "Python",
        "cmd": f"python train.py {gate}",
        "envVars": {"API_KEY": VARIABLE},
    }
    worker = {"Worker": {"replicas": 2, "resources": "cpu=0.25"}}
    gang = {"meta": meta, "spec": worker, "cluster": "looked-into", "code": {"syncMode": "git", "git": git}}
    sweep = {
        "meta": {**meta, "framework": "Shell", "cmd": "python -c 'import submarine; submarine.log_metric(\"loss\", {{lr}})'"},
        "spec": {"Worker": {"replicas": 1, "resources": "cpu=0.25"}},
        "cluster": "looked-into",
        "tune": {"searchSpace": {"lr": {"type": "grid", "values": [1, 2]}}, "metric": "loss", "mode": "min"},
    }  # fmt: skip
    id, other = (str(platform.client.create_experiment(spec)["experimentId"]) for spec in (gang, sweep))
    wait_until(lambda: _says(platform, id, "ready"), 120, "both replicas have logged")
    tokens = Tokens(SecretBox(platform.home.secret_key).derived(PURPOSE))
    secrets = [VARIABLE, PASSWORD, *(tokens.issue(PrincipalKind.ATTEMPT, one) for one in (id, other))]
    cluster = httpx.Client(base_url=state["address"], headers={"Authorization": f"Bearer {token}"}, timeout=30)
    _check_environments(secrets)
    _check_records(cluster, secrets)
    variables = cluster.get(f"/api/jobs/{id}").json()["runtime_env"]["env_vars"]
    _check_ticket(variables)
    gate.touch()
    ended = [platform.ended(one) for one in (id, other)]
    assert [one["status"] for one in ended] == ["Succeeded", "Succeeded"], (platform.lines(id), platform.lines(other))
    _check_records(cluster, secrets)
    _check_files(Path(state["directory"]), secrets)
    assert all("refused 403" in platform.lines(id)[f"worker-{number}"] for number in (0, 1))
    found = {(one["replica"], one["key"]) for one in platform.client.metrics(id)}
    assert {("worker-0", "loss"), ("worker-0", "accuracy"), ("worker-1", "accuracy")} <= found


def _repository(directory: Path) -> Path:
    made = directory / "code"
    made.mkdir()
    (made / "train.py").write_text(SCRIPT)
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "code")):
        subprocess.run(["git", *names, "-C", str(made), *arguments], check=True)
    return made


def _says(platform: RunningPlatform, id: str, word: str) -> bool:
    lines = platform.lines(id)
    return all(word in lines.get(f"worker-{number}", []) for number in (0, 1))


def _check_records(cluster: httpx.Client, secrets: list[str]) -> None:
    pages = ["/api/jobs/", *(f"/api/v0/{what}?detail=true&limit=1000" for what in STATE)]
    for page in pages:
        text = cluster.get(page).text
        assert not [secret for secret in secrets if secret in text], page


def _check_environments(secrets: list[str]) -> None:
    """Of every process on this machine but the replicas themselves: Ray's, the runner's, what they started."""
    seen = 0
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            text = file.read_bytes().decode(errors="replace")
            command = file.with_name("cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended, or is another user's
        if "\0SUBMARINE_REPLICA=" in f"\0{text}" or int(file.parent.name) == os.getpid():
            continue
        seen += "ray" in command
        assert not [secret for secret in secrets if secret in text or secret in command], command
    assert seen > 5


def _check_files(directory: Path, secrets: list[str]) -> None:
    """All that Ray keeps of its session: logs of jobs, workers and agents, packages."""
    files = [Path(root, name) for root, _, names in os.walk(directory) for name in names]
    files = [file for file in files if file.is_file() and not file.is_symlink()]
    assert any("runtime_env" in file.name for file in files)
    for file in files:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue  # Ray has removed it meanwhile
        assert not [secret for secret in secrets if secret.encode() in content], file


def _check_ticket(variables: dict[str, Any]) -> None:
    """What the job's record has is spent: it answers nobody a launch, and opens nothing else."""
    ticket = variables[TICKET_VARIABLE]
    assert ticket.startswith(PREFIX) and set(variables) == {TICKET_VARIABLE, BEGIN_VARIABLE, "RAY_JOB_STOP_WAIT_TIME_S"}
    headers = {"Authorization": f"Bearer {ticket}"}
    answer = httpx.post(f"{variables[BEGIN_VARIABLE]}&run=thief", headers=headers).json()["result"]
    assert (answer["mayBegin"], answer["launch"]) == (False, None) and "fetched before" in answer["why"]
    service = variables[BEGIN_VARIABLE].split("/api/")[0]
    assert httpx.get(f"{service}/api/v1/experiment", headers=headers).status_code == 403
