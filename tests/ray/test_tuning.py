"""Sweeps on a real cluster: unmodified scripts and functions as trials, what ends them, what survives."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import submarine_ray as submarine
from submarine_ray.client.errors import ApiError, ExperimentFailed
from submarine_ray.client.models import ModelClient
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

SCRIPT = """
import argparse, pathlib, time
import submarine_ray as submarine

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--linger", type=float, default=1.0)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--epochs", type=int, default=3)
options = parser.parse_args()
for epoch in range(1, options.epochs + 1):
    submarine.log_metric("momentum", options.momentum, epoch)
    submarine.log_metric("accuracy", 1 - options.lr - 0.1 / epoch, epoch)
    print(f"epoch {epoch}", flush=True)
    time.sleep(options.pause)
    if epoch == options.epochs - 1 and options.lr > options.linger:
        time.sleep(600)  # until it is ended
"""
LR = {"type": "grid", "values": [0.1, 0.2, 0.3, 0.4]}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "train.py").write_text(SCRIPT)
    return folder


def sweep(platform: RunningPlatform, target: Any, space: dict[str, Any], **more: Any) -> submarine.SweepHandle:
    options: dict[str, Any] = {"metric": "accuracy", "mode": "max", "num_samples": 1, "cpus_per_worker": 0.5}
    return submarine.tune(target, space, client=platform.client, **options | more)


def trials(handle: submarine.SweepHandle) -> dict[float, dict[str, Any]]:
    return {trial["params"]["lr"]: trial for trial in handle._client.trials(handle.id)}


def test_an_unmodified_script_is_swept_over_and_its_trials_are_runs(platform: RunningPlatform, code: Path) -> None:
    optimizer = {
        "type": "grid",
        "values": [{"name": "adam"}, {"name": "sgd", "momentum": {"type": "choice", "values": [0.9]}}],
    }
    command = "python train.py --lr {{lr}} --momentum {{optimizer.momentum}}"
    space = {"lr": {"type": "grid", "values": [0.1, 0.3]}, "optimizer": optimizer}
    handle = sweep(platform, command, space, algorithm="grid", working_dir=code)
    handle.wait(120)
    found = handle.trials()
    assert list(found["status"]) == ["Succeeded"] * 4 and list(found["params.lr"]) == [0.1, 0.1, 0.3, 0.3]
    by_name = found.groupby("params.optimizer.name")["metrics.momentum"].first()
    assert by_name["sgd"] == 0.9 and by_name["adam"] == 0.0  # its own default: it was given no --momentum
    best = handle.best()
    assert best and best["metrics"]["accuracy"] == pytest.approx(0.9 - 0.1 / 3) and best["params"]["lr"] == 0.1
    assert best["finishedTime"] and best["seconds"] > 0
    assert platform.client.trial(handle.id, best["trialId"]) == best
    # Below the experiment's run, each with its own curves and parameters.
    from mlflow import MlflowClient

    mlflow = MlflowClient(f"{platform.url}/mlflow")
    run = mlflow.get_run(best["runId"])
    experiment = platform.client.get_experiment(handle.id)
    assert run.data.tags["mlflow.parentRunId"] == experiment["runId"] and run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.1"
    assert [m.step for m in mlflow.get_metric_history(best["runId"], "accuracy")] == [1, 2, 3]
    assert platform.client.metrics(handle.id) == []  # its own run has none of theirs
    lines = platform.lines(handle.id)
    assert lines[f"trial-{best['trialId']}"] == ["epoch 1", "epoch 2", "epoch 3"]
    shown = platform.cli("trials", handle.id).stdout
    assert f"Best: trial {best['trialId']}, accuracy=0.866667" in shown and "4 of 4 trials have ended" in shown
    assert handle.plot().axes[0].get_title() == "Optimisation history"


@pytest.mark.long
def test_asha_ends_an_unmodified_script_early(platform: RunningPlatform, code: Path) -> None:
    handle = sweep(
        platform,
        # The scheduler gets the newest report alone: a script that does not pause has but one.
        "python train.py --lr {{lr}} --epochs 16 --linger 0.1 --pause 0.3",
        {"lr": LR},
        scheduler={"type": "asha", "maxIterations": 16, "gracePeriod": 2, "reductionFactor": 2},
        max_concurrent_trials=1,
        working_dir=code,
    )
    handle.wait(120)
    found = trials(handle)
    assert found[0.1]["status"] == "Succeeded" and found[0.4]["status"] == "Stopped"
    lines = platform.lines(handle.id)
    assert lines[f"trial-{found[0.1]['trialId']}"][-1] == "epoch 16"
    assert "epoch 16" not in lines[f"trial-{found[0.4]['trialId']}"]


@pytest.mark.long
def test_a_function_reports_checkpoints_and_saves_the_winner(platform: RunningPlatform) -> None:
    def train(config: dict[str, Any]) -> None:
        import tempfile
        from pathlib import Path

        import ray.train
        from sklearn.linear_model import LinearRegression

        import submarine_ray

        rows = [[0.0], [1.0], [2.0]]
        model = LinearRegression().fit(rows, [config["lr"] * row[0] for row in rows])
        submarine_ray.save_model("sklearn", model, "slopes", input_dim=[-1, 1])
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "weights").write_text(str(config["lr"]))
            checkpoint = ray.train.Checkpoint.from_directory(directory)
            ray.train.report({"loss": config["lr"], "rows": 3}, checkpoint=checkpoint)
        print("reported", config)

    space = {"lr": {"type": "uniform", "low": 0.1, "high": 0.9}}
    handle = sweep(platform, train, space, metric="loss", mode="min", num_samples=3, algorithm="optuna", seed=5)
    handle.wait(180)
    best = handle.best()
    assert best is not None and best["metrics"] == {"loss": best["params"]["lr"], "rows": 3.0}
    assert Path(best["checkpoint"], "weights").read_text() == str(best["params"]["lr"])
    assert any("reported" in line for line in platform.lines(handle.id)[f"trial-{best['trialId']}"])
    models = ModelClient(platform.url)
    (version,) = models.list_versions("slopes")  # of the best alone
    (other, *_) = (one["trialId"] for one in platform.client.trials(handle.id) if one["trialId"] != best["trialId"])
    assert models.register("steeper", handle.id, trialId=other)["version"] == 1
    assert version["experimentId"] == handle.id and best["modelVersion"] == str(version["version"])


@pytest.mark.long
def test_population_based_training_hands_on_checkpoints_and_changes_parameters(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    place = str(tmp_path)

    def train(config: dict[str, Any]) -> None:
        import tempfile
        import time
        import uuid
        from pathlib import Path

        import ray.train

        Path(place, uuid.uuid4().hex).touch()
        while len(list(Path(place).iterdir())) < 4:  # or the first trial has ended before the last one begins
            time.sleep(0.05)
        checkpoint, done = ray.train.get_checkpoint(), 0.0
        if checkpoint:
            with checkpoint.as_directory() as directory:
                done = float(Path(directory, "done").read_text())
        while True:
            time.sleep(0.15)
            done += config["speed"]
            with tempfile.TemporaryDirectory() as directory:
                Path(directory, "done").write_text(str(done))
                ray.train.report({"done": done}, checkpoint=ray.train.Checkpoint.from_directory(directory))

    space = {"speed": {"type": "uniform", "low": 0.0, "high": 1.0}}
    options = {"metric": "done", "num_samples": 4, "algorithm": "pbt", "stop": {"iterations": 20}, "seed": 2}
    handle = sweep(platform, train, space, scheduler={"type": "pbt", "perturbationInterval": 4}, **options)
    handle.wait(120)
    found = handle.trials()
    assert list(found["status"]) == ["Succeeded"] * 4
    assert found["params.speed"].between(0, 1).all()
    # Whoever was slow went on from where a faster one was: nobody gets so far by the speed it began with.
    from mlflow import MlflowClient

    mlflow = MlflowClient(f"{platform.url}/mlflow")
    begun = {t["trialId"]: mlflow.get_run(t["runId"]).data.params for t in platform.client.trials(handle.id)}
    assert any(
        done > 21 * float(begun[trial]["speed"]) + 0.01
        for trial, done in zip(found["trialId"], found["metrics.done"], strict=True)
    )
    # It has asked for more room than it used, again and again. Nothing of that stays reserved.
    wait_until(lambda: cpus_in_use(platform) == 0, 60, "all CPUs to be free")


@pytest.mark.long
def test_distributed_trials_are_worker_groups_of_their_own(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "ddp.py").write_text(
        "import os, sys, torch, torch.distributed as dist\nimport submarine_ray as submarine\n"
        "dist.init_process_group('gloo')\nx = torch.ones(1) * float(sys.argv[1])\ndist.all_reduce(x)\n"
        "submarine.log_metric('accuracy', x.item(), 0)\nprint('rank', dist.get_rank(), 'sum', x.item())\n"
        "dist.destroy_process_group()\n"
    )
    space = {"x": {"type": "grid", "values": [1.0, 2.0]}}
    handle = sweep(platform, "python ddp.py {{x}}", space, workers=2, working_dir=tmp_path)
    handle.wait(120)
    best = handle.best()
    assert best is not None and best["metrics"]["accuracy"] == 4.0
    lines = platform.lines(handle.id)
    ranks = [lines[f"trial-{best['trialId']}-worker-{index}"] for index in (0, 1)]
    assert ranks == [["rank 0 sum 4.0"], ["rank 1 sum 4.0"]]


@pytest.mark.long
def test_a_function_on_several_workers(platform: RunningPlatform) -> None:
    def train(config: dict[str, Any]) -> None:
        import ray.train

        world = ray.train.get_context().get_world_size()
        for step in range(3):
            ray.train.report({"accuracy": config["x"] * world + step})

    space = {"x": {"type": "grid", "values": [1, 2]}}
    handle = sweep(platform, train, space, workers=2, framework="Python", cpus_per_worker=0.25, max_concurrent_trials=1)
    handle.wait(240)
    assert list(handle.trials()["metrics.accuracy"]) == [6.0, 4.0]


@pytest.mark.long
def test_what_reaches_its_last_iteration_may_still_end_by_itself(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "saves.py").write_text(
        "import sys, time\nimport submarine_ray as submarine\n"
        "for step in range(int(sys.argv[1])):\n    submarine.log_metric('accuracy', step, step)\n    time.sleep(0.3)\n"
        "open(f'{sys.argv[2]}/saved-{sys.argv[1]}', 'w')\n"
    )
    space = {"steps": {"type": "grid", "values": [2, 3, 200]}}
    command = f"python saves.py {{{{steps}}}} {tmp_path}"
    handle = sweep(
        platform, command, space, scheduler={"type": "asha", "maxIterations": 3, "gracePeriod": 3}, working_dir=tmp_path
    )
    handle.wait(120)
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-2", "saved-3"}
    assert set(handle.trials()["status"]) == {"Succeeded"} and handle.best()["metrics"]["accuracy"] == 3  # type: ignore[index]


@pytest.mark.long
def test_a_failed_trial_begins_again_or_counts_as_failed(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "flaky.py").write_text(
        "import os, sys, pathlib, signal\nimport submarine_ray as submarine\n"
        "mark = pathlib.Path(sys.argv[2], sys.argv[1])\n"
        "if sys.argv[1] == '2' and not mark.exists():\n    mark.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "if sys.argv[1] == '3':\n    sys.exit(9)\n"
        "submarine.log_metric('accuracy', float(sys.argv[1]), 0)\n"
    )
    space = {"x": {"type": "grid", "values": [1, 2, 3]}}
    handle = sweep(platform, f"python flaky.py {{{{x}}}} {tmp_path}", space, max_failures=1, working_dir=tmp_path)
    handle.wait(120)
    found = {trial["params"]["x"]: trial for trial in platform.client.trials(handle.id)}
    assert {x: trial["status"] for x, trial in found.items()} == {1: "Succeeded", 2: "Succeeded", 3: "Failed"}
    assert found[3]["message"] == "it exited with status 9" and handle.best() == found[2]
    (tmp_path / "2").unlink()
    strict = sweep(
        platform,
        f"python flaky.py {{{{x}}}} {tmp_path}",
        {"x": {"type": "grid", "values": [2, 3]}},
        working_dir=tmp_path,
        max_concurrent_trials=1,  # the first to fail is then the first of the grid
    )
    with pytest.raises(ExperimentFailed, match="all 2 trials failed; the first: it was killed by SIGKILL"):
        strict.wait(120)


@pytest.mark.long
def test_a_metric_that_nobody_logs_fails_the_sweep_after_the_first_trial(platform: RunningPlatform, code: Path) -> None:
    handle = sweep(
        platform, "python train.py --lr {{lr}}", {"lr": LR}, metric="f1", max_concurrent_trials=1, working_dir=code
    )
    with pytest.raises(ExperimentFailed, match=r"no trial reports the metric 'f1': .* logged accuracy, momentum"):
        handle.wait(120)
    assert len(trials(handle)) < 4
    assert platform.client.get_experiment(handle.id)["attempt"] == 1


@pytest.mark.long
def test_a_driver_that_is_killed_is_followed_by_one_that_goes_on(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import sys, time\nimport submarine_ray as submarine\n"
        "open(f'{sys.argv[2]}/{sys.argv[1]}', 'a').write('.')\ntime.sleep(1.5)\n"
        "submarine.log_metric('accuracy', float(sys.argv[1]), 0)\n"
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    handle = sweep(
        platform,
        f"python slow.py {{{{lr}}}} {marks}",
        {"lr": {"type": "grid", "values": [1, 2, 3, 4]}},
        max_concurrent_trials=1,
        working_dir=tmp_path,
    )
    ended = lambda: [t for t in trials(handle).values() if t["status"] == "Succeeded"]  # noqa: E731
    wait_until(lambda: len(ended()) >= 2, 60, "two trials to end")
    finished = {str(t["params"]["lr"]) for t in ended()}
    os.kill(driver_pid(handle.id), signal.SIGKILL)
    platform.restart_service()
    assert handle.wait(180)["attempt"] == 2
    assert {t["status"] for t in trials(handle).values()} == {"Succeeded"} and len(trials(handle)) == 4
    begun = {path.name: len(path.read_text()) for path in marks.iterdir()}
    assert all(begun[lr] == 1 for lr in finished), begun
    assert handle.best()["params"]["lr"] == 4  # type: ignore[index]
    assert any("(4 of 4 have ended)" in line for _, line in handle.logs(follow=True))


@pytest.mark.long
def test_a_patch_begins_a_new_sweep(platform: RunningPlatform, code: Path) -> None:
    handle = sweep(platform, "python train.py --lr {{lr}}", {"lr": LR}, working_dir=code)
    handle.wait(120)
    spec = platform.client.get_experiment(handle.id)["spec"]
    spec["tune"]["searchSpace"]["lr"]["values"] = [0.5, 0.6]
    platform.client.patch_experiment(handle.id, spec)
    handle.wait(120)
    assert set(trials(handle)) == {0.5, 0.6}


@pytest.mark.long
def test_deleting_a_sweep_ends_every_trial_at_once(platform: RunningPlatform) -> None:
    seconds = {"type": "grid", "values": ["61.25", "61.5"]}
    handle = sweep(platform, "sleep {{seconds}}", {"seconds": seconds}, max_concurrent_trials=2)

    def sleeping() -> list[psutil.Process]:
        return [
            p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] in (["sleep", "61.25"], ["sleep", "61.5"])
        ]

    wait_until(lambda: len(sleeping()) == 2, 60, "both trials to run")
    handle.delete()
    wait_until(lambda: not sleeping(), 15, "the trials' processes to be gone")


@pytest.mark.long
def test_more_trials_at_once_than_fit_run_as_many_as_fit(platform: RunningPlatform, code: Path) -> None:
    cpus = platform.client.service.call("GET", "/api/v1/cluster/local")["resources"]["cpu"]
    handle = sweep(
        platform,
        "python train.py --lr {{lr}}",
        {"lr": LR},
        cpus_per_worker=cpus,
        max_concurrent_trials=4,
        working_dir=code,
        time_budget=120,
        stop={"metric": 0.5},
    )
    handle.wait(120)
    events = platform.client.service.call("GET", f"/api/v1/experiment/{handle.id}/events")
    (limited,) = [event for event in events if event["reason"] == "TrialsLimited"]
    assert "room for 1" in limited["message"]
    assert {trial["status"] for trial in trials(handle).values()} == {"Succeeded"}


@pytest.mark.long
def test_a_winner_without_a_model_is_told(platform: RunningPlatform, code: Path) -> None:
    handle = sweep(platform, "python train.py --lr {{lr}}", {"lr": LR}, register_best="none", working_dir=code)
    with pytest.raises(ExperimentFailed, match=r"the best trial saved no model: call submarine\.save_model"):
        handle.wait(120)


def cpus_in_use(platform: RunningPlatform) -> float:
    """As Ray counts them: "0.5/4.0 CPU"."""
    ray = json.loads(platform.home.ray_state.read_text())["address"]
    headers = {"Authorization": f"Bearer {platform.home.ray_token.read_text().strip()}"}
    shown = httpx.get(f"{ray}/api/cluster_status?format=1", headers=headers, timeout=20).json()["data"]["clusterStatus"]
    return float(re.findall(r"([\d.]+)/[\d.]+ CPU", shown)[0])


def driver_pid(id: str) -> int:
    (found,) = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if f"launches/{id}" in " ".join(process.info["cmdline"] or ())
        and "submarine_ray.runner" in process.info["cmdline"]
    ]
    return found


def test_only_sweeps_have_trials(platform: RunningPlatform) -> None:
    id = platform.submit("true")
    assert platform.client.trials(id) == []
    assert "is not a sweep" in platform.cli("trials", id, check=False).stderr
    with pytest.raises(ApiError, match="unknown algorithm"):
        sweep(platform, "echo {{x}}", {"x": LR}, algorithm="guess")


STEADY = """
import pathlib, sys, time
import submarine_ray as submarine

place, lr = pathlib.Path(sys.argv[1]), float(sys.argv[2])
with (place / "begun").open("a") as begun:
    begun.write(f"{lr}\\n")
for step in range(3000):
    submarine.log_metric("accuracy", 1 - lr + step / 1e6, step)
    if (place / "go").exists():
        break
    time.sleep(0.1)
"""


@pytest.mark.long
def test_a_trial_is_stopped_and_a_sweep_extended_while_it_runs_and_after(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    (tmp_path / "steady.py").write_text(STEADY)
    space = {"lr": {"type": "uniform", "low": 0.1, "high": 0.5}}
    command = f"python steady.py {tmp_path} {{{{lr}}}}"
    options = {"algorithm": "optuna", "num_samples": 2, "max_concurrent_trials": 2, "working_dir": tmp_path}
    handle = sweep(platform, command, space, **options)

    def states() -> dict[str, str]:
        return {one["trialId"]: one["status"] for one in platform.client.trials(handle.id)}

    wait_until(lambda: [*states().values()] == ["Running"] * 2, 60, "both trials to run")
    wait_until(lambda: len(handle.trials().filter(like="metrics.").dropna()) == 2, 30, "both to report")
    stopped, other = states()
    shown = platform.cli("stop", handle.id, "--trial", stopped).stdout
    assert shown == f"Stopping trial {stopped} of {handle.id}.\n"
    wait_until(lambda: states()[stopped] == "Stopped", 30, "the trial to be stopped")
    trial = platform.client.trial(handle.id, stopped)
    assert trial["message"] == "Stopped by a user." and trial["metrics"]["accuracy"] > 0.4 and trial["finishedTime"]
    assert states()[other] == "Running"
    with pytest.raises(ApiError, match=r"has ended already \(Stopped\)"):
        handle.stop_trial(stopped)

    handle.extend(1)
    wait_until(lambda: len(states()) == 3, 30, "another trial to begin")
    (tmp_path / "go").touch()
    assert handle.wait(60)["attempt"] == 1
    assert sorted(states().values()) == ["Stopped", "Succeeded", "Succeeded"]

    before = set(states())
    assert platform.cli("extend", handle.id, "2").stdout == f"Extended {handle.id} by 2, to 5 samples.\n"
    ended = handle.wait(120)
    assert (ended["attempt"], ended["status"]) == (2, "Succeeded")
    assert len(states()) == 5 and before < set(states())
    assert {states()[one] for one in set(states()) - before} == {"Succeeded"}
    assert len((tmp_path / "begun").read_text().splitlines()) == 5  # none began again
    lines = [line for _, line in platform.client.read_log(handle.id, "submarine")]
    assert any("(5 of 5 have ended)" in line for line in lines), lines
    assert learnt(platform, handle.id) == 5
    assert [one["status"] for one in platform.client.attempts(handle.id)] == ["Succeeded", "Succeeded"]

    of_before = set(states())
    platform.client.patch_experiment(handle.id, platform.client.get_experiment(handle.id)["spec"], rerun=True)
    handle.wait(120)  # a rerun begins anew, though its spec is the same
    assert len(states()) == 5 and not of_before & set(states())


@pytest.mark.long
def test_a_function_that_is_stopped_ends_at_its_next_report(platform: RunningPlatform) -> None:
    def train(config: dict[str, Any]) -> None:
        import time

        import ray.train

        while True:
            ray.train.report({"accuracy": config["lr"]})
            time.sleep(0.1)

    handle = sweep(platform, train, {"lr": {"type": "grid", "values": [0.1, 0.2]}})
    wait_until(lambda: len(handle.trials().filter(like="metrics.").dropna()) == 2, 60, "both trials to report")
    for trial in platform.client.trials(handle.id):
        handle.stop_trial(trial["trialId"])
    assert handle.wait(60)["status"] == "Succeeded"  # whoever stops trials wants the best of what there is
    assert list(handle.trials()["status"]) == ["Stopped"] * 2 and handle.best()["params"] == {"lr": 0.2}  # type: ignore[index]


@pytest.mark.long
def test_a_sweep_that_was_stopped_as_a_whole_goes_on_when_it_is_extended(
    platform: RunningPlatform, tmp_path: Path
) -> None:
    (tmp_path / "steady.py").write_text(STEADY)
    command = f"python steady.py {tmp_path} {{{{lr}}}}"
    space = {"lr": {"type": "uniform", "low": 0.1, "high": 0.5}}
    handle = sweep(platform, command, space, num_samples=2, working_dir=tmp_path)
    wait_until(lambda: len(handle.trials().filter(like="metrics.").dropna()) == 2, 60, "both trials to report")
    before = {one["trialId"]: one["params"] for one in platform.client.trials(handle.id)}
    handle.stop()
    with pytest.raises(ExperimentFailed):
        handle.wait(60)
    (tmp_path / "go").touch()
    handle.extend(1)
    assert (handle.wait(120)["attempt"], list(handle.trials()["status"])) == (2, ["Succeeded"] * 3)
    found = {one["trialId"]: one for one in platform.client.trials(handle.id)}
    assert {id: found[id]["params"] for id in before} == before
    assert all(one["finishedTime"] > one["startedTime"] and one["message"] is None for one in found.values())


def learnt(platform: RunningPlatform, id: str) -> int:
    """How many trials the searcher of a sweep has learnt from, as it was stored last."""
    import cloudpickle

    found = sorted((platform.home.work / id / "storage").glob("*/searcher-state-*.pkl"))
    state = cloudpickle.loads(found[-1].read_bytes())
    return len(state["_ot_study"].trials)
