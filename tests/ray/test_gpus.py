"""One GPU, and who sees it. Ray is told of one that is not there: what it then does with the variables is real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import submarine_ray as submarine
from submarine_ray.client.models import ModelClient, ServeClient
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

ASKS = "import os; print('sees', repr(os.environ.get('CUDA_VISIBLE_DEVICES')), os.environ.get('LOCAL_RANK'))"
SCRIPT = """
import os, ray
def sees(): return os.environ.get("CUDA_VISIBLE_DEVICES")
ray.init(log_to_driver=False)
tasks = [ray.remote(num_gpus=gpus)(sees).remote() for gpus in (0, 1)]
actors = [ray.remote(num_gpus=gpus)(type("Actor", (), {"sees": lambda self: sees()})).remote() for gpus in (0, 0.5)]
print([sees(), *ray.get(tasks), *ray.get([actor.sees.remote() for actor in actors])])
del actors  # they hold half of it
def as_a_replica():
    from serve_apps.devices import see_own_gpus
    before = sees()
    see_own_gpus()
    return before, sees()
elsewhere = {"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}}  # a cluster that is not ours
print(ray.get([ray.remote(num_gpus=gpus, runtime_env=elsewhere)(as_a_replica).remote() for gpus in (0, 1)]))
"""


def seen(platform: RunningPlatform, id: str) -> list[str]:
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    return sorted(line for lines in platform.lines(id).values() for line in lines if line.startswith("sees"))


def test_each_process_sees_the_gpus_that_it_asked_for(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(ASKS)
    (tmp_path / "script.py").write_text(SCRIPT)
    code = {"code": {"syncMode": "local", "url": str(tmp_path)}}

    def asks(gpu: str, workers: int = 1, framework: str = "Python") -> str:
        resources = f"cpu=0.25,nvidia.com/gpu={gpu}"
        return platform.submit("python asks.py", framework, workers, resources, **code)

    alone, none = asks("1"), asks("0")
    pair, pair_of_none = asks("0.5", 2, "PyTorch"), asks("0", 2, "PyTorch")
    script = platform.submit("python script.py", "Ray", resources="cpu=0.25,nvidia.com/gpu=1", **code)
    assert seen(platform, none) == ["sees '' None"] and seen(platform, alone) == ["sees '0' None"]
    assert seen(platform, pair) == ["sees '0' 0"] * 2
    assert any("worker-0, worker-1 share a GPU" in line for line in platform.lines(pair)["worker-0"])
    assert seen(platform, pair_of_none) == ["sees '' 0", "sees '' 1"]
    assert platform.ended(script)["status"] == "Succeeded", platform.lines(script)
    assert platform.lines(script)["worker-0"][-2:] == ["['', '', '0', '', '0']", "[(None, ''), ('0', '0')]"]


@pytest.mark.long
def test_functions_and_trials_see_theirs(platform: RunningPlatform) -> None:
    def train() -> None:
        import os

        print("sees", repr(os.environ.get("CUDA_VISIBLE_DEVICES")), flush=True)

    space = {"x": {"type": "grid", "values": [1, 2]}}
    tune: dict[str, Any] = {"searchSpace": space, "metric": "m", "mode": "max", "numSamples": 1}
    cmd = f"{sys.executable} -c \"{ASKS}; import submarine_ray; submarine_ray.log_metric('m', {{{{x}}}})\""
    sweep = platform.submit(cmd, "Python", resources="cpu=0.25", tune=tune)
    function = submarine.run(train, workers=2, framework="Python", cpus_per_worker=0.25, client=platform.client)
    assert seen(platform, function.id) == ["sees ''"] * 2
    assert seen(platform, sweep) == ["sees '' None"] * 2


def test_nccl_on_a_shared_gpu_fails_with_a_sentence(platform: RunningPlatform) -> None:
    said = "echo 'ncclInvalidUsage: Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1000'; exit 3"
    role = {"replicas": 2, "resources": "nvidia.com/gpu=0.5", "cmd": f"/bin/sh -c {json.dumps(said)}"}
    spec = {"meta": {"name": "nccl", "framework": "PyTorch"}, "spec": {"Worker": role}}
    ended = platform.ended(platform.client.create_experiment(spec)["experimentId"])
    assert ended["status"] == "Failed"
    assert "worker-0, worker-1 share a GPU, and NCCL takes no two ranks on one" in ended["message"]


@pytest.mark.long
def test_the_runner_asks_ray_for_its_gpus_under_plain_ray_job_submit(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(ASKS)
    state = json.loads(platform.home.ray_state.read_text())
    env = {k: v for k, v in platform.env.items() if not k.startswith("SUBMARINE_")}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(platform.home.ray_token)}

    def submitted(*options: str) -> str:
        ray = str(Path(sys.executable).parent / "ray")
        runner = ("python", "-m", "submarine_ray.runner", "--gpus-per-worker", "1", "--", "python", "asks.py")
        command = [ray, "job", "submit", "--address", state["address"], "--working-dir", str(tmp_path)]
        done = subprocess.run([*command, *options, "--", *runner], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "] sees '0' None" in submitted()
    assert "] sees '0' None" in submitted("--entrypoint-num-gpus", "1")


def test_one_gpu_is_waited_for_and_an_endpoint_that_fills_it_is_replaced_in_place(
    platform: RunningPlatform, sklearn_experiment: str
) -> None:
    call = platform.client.service.call
    ModelClient(platform.url).register("on-gpu", sklearn_experiment)
    serving = ServeClient(platform.url)
    refused = platform.cli("serve", "on-gpu", "1", "--gpus", "2", check=False)
    assert refused.returncode == 1 and "2 GPUs where there are 1 on one node" in refused.stderr
    platform.cli("serve", "on-gpu", "1", "--gpus", "0.7")
    waiting = platform.submit("true", resources="cpu=0.25,nvidia.com/gpu=1")
    said = "needs 1 GPU; 0.3 of 1 free; held by endpoint on-gpu 1 (0.7)."
    wait_until(lambda: said in (platform.client.get_experiment(waiting)["message"] or ""), 30, said)
    events = call("GET", f"/api/v1/experiment/{waiting}/events")
    assert [one["message"] for one in events if one["reason"] == "Queued"] == [
        f"Waiting for room on cluster 'local': {said}"
    ]
    platform.cli("serve", "on-gpu", "1", "--gpus", "0.8", timeout=60)

    def is_replaced() -> bool:
        endpoint = serving.get_serve("on-gpu", 1)
        events = [one["message"] for one in endpoint["events"] if one["reason"] == "ReplacedInPlace"]
        return (
            endpoint["status"] == "Running" and len(events) == 1 and "needs 0.8 GPU, and 0.3 of 1 is free" in events[0]
        )

    wait_until(is_replaced, 60, "the endpoint is replaced in place")
    serving.delete_serve("on-gpu", 1)
    assert platform.ended(waiting)["status"] == "Succeeded"
