"""Train functions, driven by Ray Train: checkpoints, logs and metrics of each replica, failures."""

from __future__ import annotations

from pathlib import Path

import pytest

import submarine_ray as submarine
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray


def test_a_function_of_a_notebook_with_checkpoints_resumes_after_a_worker_dies(
    platform: RunningPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "module_beside_the_notebook.py").write_text("EPOCHS = 3\n")
    monkeypatch.syspath_prepend(tmp_path / "beside")

    def train() -> None:
        import os
        import tempfile
        from pathlib import Path

        import module_beside_the_notebook as beside  # type: ignore[import-not-found]  # travels with the function
        import ray.train

        import submarine_ray

        checkpoint = ray.train.get_checkpoint()
        begin = 0
        if checkpoint:
            with checkpoint.as_directory() as directory:
                begin = int(Path(directory, "epoch").read_text()) + 1
        for epoch in range(begin, beside.EPOCHS):
            rank = ray.train.get_context().get_world_rank()
            if epoch == 2 and rank == 1 and not os.path.exists(f"{place}/died"):
                ray.train.get_all_reported_checkpoints()  # returns once what was reported is committed
                Path(place, "died").touch()
                os._exit(7)
            Path(place, f"{rank}-{epoch}-from-{begin}").touch()
            submarine_ray.log_metric("epoch", epoch, epoch)
            with tempfile.TemporaryDirectory() as directory:
                Path(directory, "epoch").write_text(str(epoch))
                ray.train.report({"epoch": epoch}, checkpoint=ray.train.Checkpoint.from_directory(directory))

    handle = submarine.run(
        train, workers=2, framework="Python", cpus_per_worker=0.5, max_retries=1, client=platform.client
    )
    experiment = handle.wait(180)
    assert experiment["attempt"] == 1
    assert (tmp_path / "died").exists()
    resumed = [p.name for p in tmp_path.glob("*-from-*") if not p.name.endswith("from-0")]
    assert {"0-2-from-2", "1-2-from-2"} <= set(resumed) or {"0-2-from-1", "1-2-from-1"} <= set(resumed)
    assert {m["replica"] for m in handle.metrics()} >= {"worker-0"}


@pytest.mark.long
def test_workers_that_ran_out_of_memory_are_not_started_again(platform: RunningPlatform, tmp_path: Path) -> None:
    place = str(tmp_path)

    def train() -> None:
        import os

        with open(f"{place}/begun", "a") as begun:
            begun.write(".")
        # In Ray's own words: filling this machine's memory would end others' work, too.
        raise RuntimeError("1 worker(s) were killed due to the node running low on memory. " + os.environ["HOME"])

    handle = submarine.run(train, cpus_per_worker=0.5, max_retries=2, framework="Python", client=platform.client)
    with pytest.raises(submarine.ExperimentFailed, match="It ran out of memory: Ray's memory monitor ended it"):
        handle.wait(120)
    assert Path(place, "begun").read_text() == "."


@pytest.mark.long
def test_a_function_that_fails_says_where_and_its_replicas_logs_are_apart(platform: RunningPlatform) -> None:
    def train() -> None:
        import os

        import ray.train

        import submarine_ray

        rank = ray.train.get_context().get_world_rank()
        for i in range(3000):
            print(rank, i)
        os.system("echo from a child of $SUBMARINE_REPLICA")
        submarine_ray.log_metric("rank", rank, 1)
        if rank == 1:
            raise ValueError("the data ran out")

    handle = submarine.run(train, workers=2, framework="Python", cpus_per_worker=0.5, client=platform.client)
    with pytest.raises(submarine.ExperimentFailed, match="worker-1 failed: ValueError: the data ran out"):
        handle.wait(120)
    lines = platform.lines(handle.id)
    assert lines["worker-0"] == [*(f"0 {i}" for i in range(3000)), "from a child of worker-0"]
    assert lines["worker-1"][:3001] == [*(f"1 {i}" for i in range(3000)), "from a child of worker-1"]
    assert lines["worker-1"][-1] == "ValueError: the data ran out"
    assert {(m["replica"], m["value"]) for m in handle.metrics()} == {("worker-0", 0.0), ("worker-1", 1.0)}


@pytest.mark.long
def test_metrics_of_a_killed_worker_are_not_lost(platform: RunningPlatform) -> None:
    def train() -> None:
        import os

        import submarine_ray

        for i in range(2000):
            submarine_ray.log_metric("loss", i, i)
        os.kill(os.getpid(), 9)

    handle = submarine.run(train, framework="Python", cpus_per_worker=0.5, client=platform.client)
    with pytest.raises(submarine.ExperimentFailed):
        handle.wait(120)
    steps = wait_until(lambda: len(found := handle.metrics("loss")) >= 2000 and found, 30, "all metrics arrive")
    assert sorted(point["step"] for point in steps) == list(range(2000))
