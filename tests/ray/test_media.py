"""Images and tables that real replicas log arrive, whoever of them is killed, beside those of `mlflow.log_image`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunningPlatform

pytestmark = [pytest.mark.ray, pytest.mark.long]

SCRIPT = """
import os, sys, time
from pathlib import Path
import mlflow, numpy as np
import submarine_ray as submarine

mark = Path({mark!r})
rank = int(os.environ["SUBMARINE_REPLICA"].rpartition("-")[2])
for step in range(30):
    submarine.log_image(np.full((8, 8), step, np.uint8), "samples", step=step, caption=f"of {{rank}}")
submarine.log_table({{"rank": [rank]}}, "ranks", step=1)
try:
    submarine.log_audio(np.zeros(3), "voice")
except ValueError as failure:
    print("refused:", failure)
if rank == 0:
    with mlflow.start_run():
        mlflow.log_image(np.zeros((8, 8, 3), np.uint8), key="theirs", step=2)
    mark.touch()
else:
    while not mark.exists():
        time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""


def test_each_ranks_items_are_stored(platform: RunningPlatform, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(SCRIPT.format(mark=str(tmp_path / "mark")))
    id = platform.submit(
        "python train.py",
        "Python",
        workers=2,
        code={"syncMode": "local", "url": str(code)},
        queue=True,
    )
    platform.ended(id)
    found = platform.client.media(id)
    for replica in ("worker-0", "worker-1"):
        steps = [one["step"] for one in found if one["replica"] == replica and one["key"] == "samples"]
        assert steps == list(range(30)), platform.lines(id)
        assert {one["caption"] for one in found if one["replica"] == replica and one["kind"] == "image"} >= {
            f"of {replica[-1]}"
        }
    assert sorted(one["replica"] for one in found if one["key"] == "ranks") == ["worker-0", "worker-1"]
    assert [one["step"] for one in found if one["key"] == "theirs"] == [2]
    assert any("refused: audio 'voice': give the samples per second" in line for line in platform.lines(id)["worker-0"])
    tables = platform.client.media(id, kind="table", key="ranks", step=1)
    (table,) = [one for one in tables if one["replica"] == "worker-0"]
    got = platform.client.download_media(id, table["name"], tmp_path / "table.json").read_text()
    assert got == '{"columns":["rank"],"data":[[0]]}'
