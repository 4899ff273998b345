"""What replicas logged and could not send is stored by the service, from the spools that they left."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.spec.records import Metric, Param
from submarine_ray.spec.spool import writer_file
from submarine_ray.spec.spool.batches import Batch, Points
from submarine_ray.spec.spool.lines import written
from submarine_ray.tracking import leftovers
from submarine_ray.tracking.service import TrackingService
from tests.service import own_run


@pytest.fixture
def tracking(api: httpx.Client) -> TrackingService:
    return api.app.state.platform.tracking  # type: ignore[attr-defined,no-any-return]


def made(tracking: TrackingService, id: str) -> str:
    return own_run(tracking, id).run_id


def spool(path: Path, steps: range, key: str = "loss", writer: str | None = None) -> Path:
    path.mkdir(exist_ok=True)
    file = path / ".metrics.jsonl"
    file.write_bytes(b"".join(written(Metric(key, step / 7, step, 1000 + step)) for step in steps))
    if writer:
        writer_file(file).write_text(writer)
    return file


def steps(tracking: TrackingService, run: str, key: str = "loss") -> list[int]:
    return sorted(m.step for m in tracking.client().get_metric_history(run, key))


def test_each_replicas_points_go_to_its_run(tracking: TrackingService, tmp_path: Path) -> None:
    run = made(tracking, "experiment-left-1")
    found = {name: spool(tmp_path / name, range(3000)) for name in ("worker-0", "worker-1")}
    with found["worker-1"].open("ab") as file:
        file.write(
            b'["loss", torn\n' + written(Param("lr", "0.1")) + written(Metric("loss", 0.5, 3000, 1)) + b'["unfin'
        )
    for _ in range(2):  # again, because the service died before it noted that it had
        told = leftovers.load(tracking, run, "experiment-left-1", found)
        runs = {replica: run for run, replica in tracking.runs(run).items()}
        assert steps(tracking, runs["worker-0"]) == list(range(3000))
        assert steps(tracking, runs["worker-1"]) == list(range(3001))
        assert len(runs) == 2 and runs["worker-0"] == run
        assert tracking.client().get_run(runs["worker-1"]).data.params == {"lr": "0.1"}
        assert [(left.replica, left.points) for left in told] in ([("worker-0", 3000), ("worker-1", 3001)], [])
        assert all("damaged" in left.first and left.refused == 1 for left in told if left.replica == "worker-1")


def test_it_goes_on_where_the_replica_was(tracking: TrackingService, tmp_path: Path) -> None:
    run = made(tracking, "experiment-left-2")
    file = spool(tmp_path, range(100), writer="abc")
    sent = file.read_bytes().splitlines(keepends=True)[:60]
    rows = [("loss", step / 7, step, 1000 + step) for step in range(60)]
    tracking.points.append(run, Batch("abc", 0, len(b"".join(sent)), Points.of(rows)))
    (left,) = leftovers.load(tracking, run, "experiment-left-2", {"worker-0": file})
    assert left.points == 40 and not left.refused and steps(tracking, run) == list(range(100))
    assert leftovers.load(tracking, run, "experiment-left-2", {"worker-0": file}) == []


def test_links_pipes_and_other_peoples_words_are_not_read(tracking: TrackingService, tmp_path: Path) -> None:
    run = made(tracking, "experiment-left-3")
    real = spool(tmp_path / "real", range(5), writer="../../a")
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(real)
    os.mkfifo(pipe)
    found = {"worker-1": link, "worker-2": pipe, "worker-3": tmp_path / "missing"}
    assert leftovers.load(tracking, run, "experiment-left-3", found) == []
    (left,) = leftovers.load(tracking, run, "experiment-left-3", {"worker-0": real})
    assert left.points == 5


def test_a_file_that_cannot_be_read_is_told(
    tracking: TrackingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tracking, "experiment-left-5")
    file = spool(tmp_path, range(5))

    def broken(*_: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(leftovers.os, "pread", broken)
    (left,) = leftovers.load(tracking, run, "experiment-left-5", {"worker-0": file})
    assert left.points == 0 and left.first == "what stands in its file, which cannot be read: Input/output error"


def test_a_run_that_is_gone_holds_nothing_up(tracking: TrackingService, tmp_path: Path) -> None:
    run = made(tracking, "experiment-left-4")
    file = spool(tmp_path, range(5))
    tracking.client().delete_run(run)
    found = {"worker-0": file, "worker-1": file}
    assert leftovers.load(tracking, run, "experiment-left-4", found) == []
    assert leftovers.load(tracking, "0" * 32, "experiment-left-4", found) == []
    assert tracking.runs(run) == {}
