"""TensorBoard: a real one, started when it is asked for, over what experiments write."""

from __future__ import annotations

import contextlib
import os
import signal

import httpx
import psutil
import pytest

from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

WRITE = (
    "import os; from torch.utils.tensorboard import SummaryWriter; "
    "w = SummaryWriter(os.environ['SUBMARINE_TENSORBOARD_LOG_DIR']); w.add_scalar('loss', 0.5, 1); w.close()"
)


def test_what_an_experiment_writes_is_shown(platform: RunningPlatform) -> None:
    id = platform.submit(f'python -c "{WRITE}"', framework="Python")
    assert platform.ended(id)["status"] == "Succeeded"
    found = httpx.get(f"{platform.url}/api/v1/experiment/tensorboard").json()["result"]
    assert found == {"available": True, "url": "/tensorboard/"}
    page = httpx.get(platform.url + found["url"], timeout=60)
    assert page.status_code == 200 and "TensorBoard" in page.text

    def is_shown() -> bool:
        return id in httpx.get(f"{platform.url}/tensorboard/data/runs", timeout=60).json()

    wait_until(is_shown, 60, "the run is shown")
    scalars = httpx.get(f"{platform.url}/tensorboard/data/plugin/scalars/scalars", params={"run": id, "tag": "loss"})
    assert [point[1:] for point in scalars.json()] == [[1, 0.5]]
    (board,) = _boards(platform)
    assert not [one.path for one in board.memory_maps() if "/tensorflow/" in one.path]  # it would take long, and much


def _boards(platform: RunningPlatform) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(platform.service_pid()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # others end meanwhile
            if "submarine_ray.tracking.board" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.long
def test_it_starts_again_after_a_crash_and_does_not_outlive_the_service(platform: RunningPlatform) -> None:
    httpx.get(f"{platform.url}/tensorboard/", timeout=60).raise_for_status()
    (first,) = _boards(platform)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    httpx.get(f"{platform.url}/tensorboard/", timeout=60).raise_for_status()
    (second,) = _boards(platform)
    platform.restart_service()
    wait_until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE, 10, "it has ended too")
