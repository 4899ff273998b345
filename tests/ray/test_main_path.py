"""The main path on a real Ray cluster: commands, gangs, functions, logs, metrics, models, endpoints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import submarine_ray as submarine
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray


def python(code: str) -> str:
    return f'python -c "{code}"'


def test_status_says_what_runs_and_up_starts_nothing_twice(platform: RunningPlatform) -> None:
    parts = {p["name"]: p for p in json.loads(platform.cli("status", "-o", "json").stdout)}
    assert parts["service"]["running"] and parts["ray"]["running"]
    assert "already running" in platform.cli("up").stdout
    assert {p["name"]: p["pid"] for p in json.loads(platform.cli("status", "-o", "json").stdout)} == {
        n: p["pid"] for n, p in parts.items()
    }


def test_run_follows_and_exits_with_the_outcome(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("import os, sys; print('hello', os.environ['WHO']); sys.exit(int(sys.argv[1]))")
    good = platform.cli("run", "--env", "WHO=world", "--", "python", "hello.py", "0", cwd=tmp_path)
    assert "[worker-0] hello world" in good.stdout
    bad = platform.cli("run", "--env", "WHO=world", "--", "python", "hello.py", "3", cwd=tmp_path, check=False)
    assert bad.returncode == 1
    assert "worker-0 failed: it exited with status 3; its last line: hello world" in bad.stderr
    worse = platform.cli("run", "--env", "WHO=world", "--", "python", "hello.py", "x", cwd=tmp_path, check=False)
    why = "ValueError: invalid literal for int() with base 10: 'x' (it exited with status 1)"
    assert worse.stderr.splitlines()[-1].endswith(f" Failed: worker-0 failed: {why}")


def test_replicas_logs_are_complete_in_order_and_survive_the_cluster(platform: RunningPlatform) -> None:
    code = "import os\nfor i in range(20000): print(os.environ['RANK'], i)"
    id = platform.client.create_experiment(
        {
            "meta": {"name": "lines", "framework": "PyTorch", "cmd": f'python -c "{code}"'},
            "spec": {"Master": {"resources": "cpu=0.5"}, "Worker": {"replicas": 1, "resources": "cpu=0.5"}},
        }
    )["experimentId"]
    assert platform.ended(id)["status"] == "Succeeded"
    wanted = {"master-0": [f"0 {i}" for i in range(20000)], "worker-0": [f"1 {i}" for i in range(20000)]}
    assert platform.lines(id) == wanted
    wait_until(lambda: _job_status(platform, id) == 404, 30, "the job's record has left the cluster")
    assert platform.lines(id) == wanted
    assert platform.cli("logs", "--replica", "worker-0", id).stdout.splitlines() == wanted["worker-0"]


def _job_status(platform: RunningPlatform, id: str) -> int:
    state = json.loads(platform.home.ray_state.read_text())
    headers = {"Authorization": f"Bearer {platform.home.ray_token.read_text()}"}
    return httpx.get(f"{state['address']}/api/jobs/{id}", headers=headers).status_code


def test_the_cluster_asks_for_its_token(platform: RunningPlatform) -> None:
    state = json.loads(platform.home.ray_state.read_text())
    assert httpx.get(f"{state['address']}/api/jobs/").status_code == 401


def test_every_replica_knows_where_it_is(platform: RunningPlatform) -> None:
    names = (
        "SUBMARINE_EXPERIMENT_ID",
        "SUBMARINE_TENSORBOARD_LOG_DIR",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_RUN_ID",
        "JOB_NAME",
    )
    id = platform.submit(python(f"import os; print([os.environ[n] for n in {names!r}])"), "Python", workers=2)
    assert platform.ended(id)["status"] == "Succeeded"
    for lines in platform.lines(id).values():
        assert id in lines[0] and "/mlflow" in lines[0]


def test_metrics_and_params_of_each_replica_even_of_a_killed_one(platform: RunningPlatform) -> None:
    code = (
        "import os, submarine_ray as s\n"
        "for i in range(2500): s.log_metric('loss', i, i)\n"
        "s.log_param('rank', os.environ['RANK'])\n"
        "os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' else None"
    )
    id = platform.submit(python(code), "PyTorch", workers=2)
    ended = platform.ended(id)
    assert ended["status"] == "Failed" and "worker-1 failed: it was killed by SIGKILL" in ended["message"]
    history = platform.client.metrics(id, "loss")
    steps = {r: sorted(m["step"] for m in history if m["replica"] == r) for r in ("worker-0", "worker-1")}
    assert steps["worker-1"] == list(range(2500))
    params = platform.client.service.call("GET", f"/api/v1/experiment/{id}/params")
    assert {"replica": "worker-1", "key": "rank", "value": "1"} in params


def test_a_failing_replica_ends_the_gang(platform: RunningPlatform) -> None:
    code = "import os, time; assert os.environ['RANK'] != '1', 'not this one'; time.sleep(600)"
    id = platform.submit(python(code), "PyTorch", workers=2)
    ended = platform.ended(id, 60)
    why = "worker-1 failed: AssertionError: not this one (it exited with status 1)"
    assert (ended["status"], ended["message"]) == ("Failed", why)


@pytest.mark.long
def test_a_failed_attempt_is_retried_and_its_log_kept(platform: RunningPlatform, tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    id = platform.submit(f"echo try; test -e {mark} || {{ touch {mark}; exit 1; }}", maxRetries=2)
    ended = platform.ended(id)
    assert (ended["status"], ended["attempt"]) == ("Succeeded", 2)
    reasons = [e["reason"] for e in platform.client.service.call("GET", f"/api/v1/experiment/{id}/events")]
    assert reasons.count("Submitted") == 2 and "ReplicaFailed" in reasons
    wait_until(
        lambda: "logs/attempt-1/" in platform.client.list_artifacts(id, "logs"), 30, "the first attempt's log is kept"
    )


@pytest.mark.long
def test_patch_runs_the_new_spec_and_stops_the_old(platform: RunningPlatform, tmp_path: Path) -> None:
    id = platform.submit(f"echo $$ > {tmp_path}/pid; sleep 600")
    wait_until(lambda: (tmp_path / "pid").exists(), 60, "the first attempt runs")
    pid = (tmp_path / "pid").read_text().strip()
    platform.client.patch_experiment(
        id,
        {
            "meta": {"name": "test", "framework": "Shell", "cmd": "echo second"},
            "spec": {"Worker": {"resources": "cpu=0.5"}},
        },
    )
    ended = platform.ended(id)
    assert (ended["status"], ended["attempt"]) == ("Succeeded", 2)
    assert platform.lines(id) == {"worker-0": ["second"]}
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 30, "the first attempt's process is gone")
    # Run again once it was cleaned up, as it is: its log stays beside the next attempt's.
    wait_until(lambda: "logs/worker-0.log" in platform.client.list_artifacts(id, "logs"), 30, "its log is stored")
    platform.client.patch_experiment(id, ended["spec"], rerun=True)
    assert platform.ended(id)["attempt"] == 3
    found = [
        pod["podLog"]
        for pod in platform.client.service.call("GET", f"/api/v1/experiment/logs/{id}?attempt=2")["logContent"]
    ]
    assert ["second"] in found


def test_delete_stops_and_removes(platform: RunningPlatform, tmp_path: Path) -> None:
    id = platform.submit(f"echo $$ > {tmp_path}/pid; sleep 600")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 60, "it runs")
    pid = (tmp_path / "pid").read_text().strip()
    assert "deleted" in platform.cli("delete", "experiment", id, "--wait").stdout
    assert "Not found experiment" in platform.cli("get", "experiment", id, check=False).stderr
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 30, "its process is gone")
    wait_until(lambda: _job_status(platform, id) == 404, 30, "its job is gone")
    left = (platform.home.work / id, platform.home.launches / f"{id}.json")
    wait_until(lambda: not any(path.exists() for path in left), 10, "its files are gone")  # just after its job


def test_stop_keeps_the_experiment(platform: RunningPlatform) -> None:
    handle = submarine.run("sleep 600", framework="Shell", cpus_per_worker=0.5, client=platform.client)
    wait_until(lambda: handle.status == "Running", 60, "it runs")
    handle.stop()
    with pytest.raises(submarine.ExperimentFailed, match="Stopped"):
        handle.wait(60)


@pytest.mark.long
def test_a_stopped_gang_loses_no_metric(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import itertools, time, submarine\n"
        "for step in itertools.count():\n"
        "    submarine.log_metric('step', step, step)\n"
        "    print(step, flush=True)\n"
        "    time.sleep(0.005)\n"
    )
    id = platform.submit("python train.py", "Python", workers=2, code={"syncMode": "local", "url": str(tmp_path)})
    wait_until(lambda: len(platform.lines(id).get("worker-1", ())) > 20, 60, "it trains")
    platform.client.stop_experiment(id)
    assert platform.ended(id)["reason"] == "Stopped"
    stored = {metric["replica"]: metric["step"] for metric in platform.client.metrics(id)}
    for replica in ("worker-0", "worker-1"):
        assert stored[replica] >= int(platform.lines(id)[replica][-1]), replica


def test_the_runner_works_under_plain_ray_job_submit(platform: RunningPlatform, tmp_path: Path) -> None:
    """A bare cluster and no control service: only Ray's own command."""
    (tmp_path / "train.py").write_text("import os; print('rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'])")
    state = json.loads(platform.home.ray_state.read_text())
    env = {k: v for k, v in platform.env.items() if not k.startswith("SUBMARINE_")}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(platform.home.ray_token)}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ray"), "job", "submit", "--address", state["address"], "--working-dir", str(tmp_path), "--",
         "python", "-m", "submarine_ray.runner", "--framework", "PyTorch", "--workers", "2", "--cpus-per-worker", "0.5", "--", "python", "train.py"],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(re.search(rf"\[worker-{rank} \S+Z\] rank {rank} of 2", done.stdout) for rank in (0, 1))


def test_a_ray_script_uses_the_cluster_itself(platform: RunningPlatform) -> None:
    code = "import ray; ray.init(log_to_driver=False); print(ray.get(ray.remote(lambda: 6 * 7).remote()))"
    id = platform.submit(python(code), "Ray")
    assert platform.ended(id)["status"] == "Succeeded"
    assert "42" in platform.lines(id)["worker-0"]


def test_a_registered_ray_cluster_gets_the_runner_and_the_code_by_package(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    """The same cluster, reached as a stranger's: no shared disk is assumed."""
    state = json.loads(platform.home.ray_state.read_text())
    body = {"name": "remote", "address": state["address"], "token": platform.home.ray_token.read_text()}
    platform.client.service.call("POST", "/api/v1/cluster", json=body)
    (tmp_path / "a.py").write_text("print('here')")
    handle = submarine.run(
        "python a.py", cpus_per_worker=0.5, working_dir=tmp_path, cluster="remote", client=platform.client
    )
    handle.wait(120)
    assert list(handle.logs()) == [("worker-0", "here")]


def test_a_wrong_token_changes_no_row_and_is_shown(platform: RunningPlatform) -> None:
    state = json.loads(platform.home.ray_state.read_text())
    platform.client.service.call(
        "POST", "/api/v1/cluster", json={"name": "wrong", "address": state["address"], "token": "x"}
    )
    id = platform.submit("true", cluster="wrong")
    shown = wait_until(
        lambda: platform.client.service.call("GET", "/api/v1/cluster/wrong")["message"],
        30,
        "the cluster's trouble is shown",
    )
    assert "token" in shown
    assert platform.client.get_experiment(id)["status"] == "Accepted"
    platform.client.delete_experiment(id)
