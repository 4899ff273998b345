"""What real scripts log, stored and read as it was logged: one script with the inputs that once got lost or altered."""

from __future__ import annotations

from pathlib import Path

import pytest

from submarine_ray.spec.system_metrics import SECONDS_VARIABLE
from tests.conftest import RunningPlatform, wait_until

pytestmark = pytest.mark.ray

SCRIPT = """
import os, sys
from pathlib import Path
import mlflow, numpy as np
import submarine_ray as submarine

mark = Path({mark!r})
submarine.log_param("attempt", "second" if mark.exists() else "first")
for step in range(5):
    submarine.log_metric("loss", np.array([step]), step)
submarine.log_metric("up", float("inf"), 1)
submarine.log_metric("nan", float("nan"), 1)
for bad in (
    lambda: submarine.log_metric("late", 1, 2**63),
    lambda: submarine.log_param("file", b"caf\\xe9.csv".decode("utf-8", "surrogateescape")),
):
    try:
        bad()
    except ValueError as failure:
        print("refused:", failure)
for number in range(20):
    submarine.log_param(f"p{{number}}", number)
if not mark.exists():
    mark.touch()
    sys.exit(1)
mlflow.set_experiment("own")
for name in ("one", "two"):
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("from_mlflow", len(name))
        if name == "one":
            Path("50%.txt").write_text("half")
            mlflow.log_artifact("50%.txt")
"""


def test_nothing_is_lost_or_altered(platform: RunningPlatform, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(SCRIPT.format(mark=str(tmp_path / "mark")))
    id = platform.submit(
        "python train.py", "Python", code={"syncMode": "local", "url": str(code)}, maxRetries=1, queue=True
    )
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    call, client = platform.client.service.call, platform.client
    params = {one["key"]: one["value"] for one in call("GET", f"/api/v1/experiment/{id}/params")}
    assert params == {"attempt": "first", **{f"p{number}": str(number) for number in range(20)}}
    found = {(one["replica"], one["key"]): str(one["value"]) for one in client.metrics(id)}
    assert found == {
        ("worker-0", "loss"): "4.0", ("worker-0", "up"): "inf", ("worker-0", "nan"): "nan",
        ("worker-0", "from_mlflow"): "3.0", ("worker-0/two", "from_mlflow"): "3.0",
    }  # fmt: skip
    assert "50%.txt" in client.list_artifacts(id)
    assert client.download_artifact(id, "50%.txt", tmp_path / "got").read_text() == "half"

    def told() -> list[str]:
        events = call("GET", f"/api/v1/experiment/{id}/events")
        return [event["message"] for event in events if event["reason"] == "NotStored"]

    (event,) = wait_until(told, 30, "the event that tells of the second value")
    assert "worker-0 logged what was not stored: parameter 'attempt' = 'second'" in event
    said = "\n".join(platform.lines(id)["worker-0"])
    assert "refused: metric 'late': the step 9223372036854775808 is beyond 64 bits" in said
    assert r"refused: parameter 'file': the value 'caf\udce9.csv' is not Unicode text" in said
    assert "[submarine] not stored: parameter 'attempt' = 'second'" in said
    assert "mlflow.set_experiment('own'): this script's runs belong to the experiment" in said


@pytest.mark.long
def test_the_machines_of_all_replicas_are_logged_beside_the_losses(platform: RunningPlatform) -> None:
    waits = "python -c \"import time; print('begun', flush=True); time.sleep(6)\""
    spec = {
        "meta": {"name": "machines", "framework": "Python", "cmd": waits, "envVars": {SECONDS_VARIABLE: "1"}},
        "spec": {"Worker": {"replicas": 2, "resources": "cpu=0.5"}},
    }
    id = str(platform.client.create_experiment(spec)["experimentId"])
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    found = platform.client.metrics(id)
    for replica in ("worker-0", "worker-1"):
        keys = {one["key"] for one in found if one["replica"] == replica}
        assert {"system/cpu_utilization_percentage", "system/process_memory_usage_megabytes"} <= keys
    assert len(platform.client.metrics(id, "system/system_memory_usage_percentage")) >= 2
    lines = platform.client.service.call("GET", f"/api/v1/experiment/logs/{id}/lines")["lines"]
    times = [one["time"] for one in lines if one["line"] == "begun"]
    assert len(times) == 2 and all(times), "the stored log knows when"
