"""What is stopped has its time of grace, in whatever process it runs, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

import submarine_ray as submarine
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

# Saves for longer than the three seconds that Ray would leave it, and starts something in a session of its own.
SAVING = """
import signal, subprocess, sys, time
def save(*_):
    for part in range(8):
        time.sleep(0.5)
        print("saved", part, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
subprocess.Popen(["sleep", sys.argv[1]], start_new_session=True)
print("ready", flush=True)
while True: time.sleep(0.1)
"""


def sleeping(seconds: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", seconds]]


def test_a_stopped_gang_saves_its_work_and_leaves_nothing(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SAVING)
    code = {"syncMode": "local", "url": str(tmp_path)}
    id = platform.submit("python train.py 391.5", "Python", workers=2, code=code)
    wait_until(lambda: all(platform.lines(id).get(f"worker-{n}") == ["ready"] for n in (0, 1)), 60, "both run")
    assert len(sleeping("391.5")) == 2
    platform.client.stop_experiment(id)
    assert platform.ended(id)["reason"] == "Stopped"
    for replica in ("worker-0", "worker-1"):
        lines = platform.lines(id)[replica]
        assert [line for line in lines if line.startswith("saved")] == [f"saved {part}" for part in range(8)]
    assert not sleeping("391.5")


@pytest.mark.long
def test_a_stopped_sweep_lets_its_trials_save(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SAVING)
    code = {"syncMode": "local", "url": str(tmp_path)}
    space = {"seconds": {"type": "grid", "values": ["392.25", "392.5"]}}
    tune = {"searchSpace": space, "metric": "loss", "mode": "min", "maxConcurrentTrials": 2}
    id = platform.submit("python train.py {{seconds}}", "Python", code=code, tune=tune)
    wait_until(lambda: len(sleeping("392.25") + sleeping("392.5")) == 2, 90, "both trials run")
    platform.client.stop_experiment(id)
    assert platform.ended(id)["reason"] == "Stopped"
    trials = [lines for name, lines in platform.lines(id).items() if name.startswith("trial-")]
    assert len(trials) == 2
    assert all("saved 7" in lines for lines in trials)
    assert not sleeping("392.25") + sleeping("392.5")


@pytest.mark.long
def test_a_stopped_train_function_ends_at_its_next_report(platform: RunningPlatform) -> None:
    def train() -> None:
        import time

        import ray.train

        for step in range(1000):
            print("begun", step, flush=True)
            time.sleep(4)
            print("done", step, flush=True)
            ray.train.report({"step": step})

    handle = submarine.run(train, workers=2, cpus_per_worker=0.5, client=platform.client)
    wait_until(lambda: "begun 1" in platform.lines(handle.id).get("worker-1", ()), 90, "it trains")
    handle.stop()
    with pytest.raises(submarine.ExperimentFailed, match="Stopped"):
        handle.wait(60)
    for replica in ("worker-0", "worker-1"):
        said = [line for line in platform.lines(handle.id)[replica] if line.startswith(("begun", "done"))]
        assert said[-1].startswith("done"), said
