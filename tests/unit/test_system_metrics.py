"""What a replica and its machine do, sampled beside it."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.client.spool import SPOOL_VARIABLE
from submarine_ray.core.settings import Settings
from submarine_ray.runner import environment, nvml, process
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.runner.system_metrics import Sampler
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Replica, Tracking
from submarine_ray.spec.plan import plan_launch
from submarine_ray.spec.system_metrics import DEFAULT_SECONDS, SECONDS_VARIABLE, seconds

# MLflow's names (mlflow/system_metrics/metrics), and two of the replica's own.
MLFLOWS = {
    "cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage",
    "disk_usage_megabytes", "disk_usage_percentage", "disk_available_megabytes", "network_receive_megabytes",
    "network_transmit_megabytes",
}  # fmt: skip
OWN = {"process_cpu_utilization_percentage", "process_memory_usage_megabytes"}
BUSY = "import sys\nfood = bytearray(64_000_000)\nprint('fed', flush=True)\nwhile True: sum(range(9999))"


class Shipper:
    """Sends nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> Shipper:
        return self

    def hurry(self, _seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_replicas_machine_is_logged_beside_its_own_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "Shipper", Shipper)
    spool, enough = tmp_path / "spool", threading.Event()
    env = {"MLFLOW_TRACKING_URI": "http://m", "MLFLOW_RUN_ID": "r", SPOOL_VARIABLE: str(spool), SECONDS_VARIABLE: "0.2"}
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    made = ReplicaProcess(Replica("worker", 0, f"{sys.executable} busy.py"), env, tmp_path, lambda _: None, 0.1)

    def logged() -> dict[str, float]:
        lines = spool.read_text().splitlines() if spool.exists() else []
        return {key: value for key, value, *_ in map(json.loads, lines)}

    while made.poll() is None and logged().get("system/process_cpu_utilization_percentage", 0) < 10:
        enough.wait(0.1)
    made.terminate()
    made.wait(30)
    found = logged()
    assert {f"system/{name}" for name in MLFLOWS | OWN} <= found.keys()
    assert found["system/process_memory_usage_megabytes"] > 64
    assert 0 <= found["system/cpu_utilization_percentage"] <= 100
    before = spool.read_bytes()
    enough.wait(0.5)
    assert spool.read_bytes() == before, "nothing is logged after the end"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, DEFAULT_SECONDS),
        ("", DEFAULT_SECONDS),
        ("2.5", 2.5),
        ("0", 0),
        ("-1", 0),
        ("off", 0),
        ("x", DEFAULT_SECONDS),
    ],
)
def test_how_often_is_said_by_a_variable(said: str | None, expected: float) -> None:
    assert seconds(said) == expected


def test_the_service_says_how_often_and_an_experiment_otherwise() -> None:
    assert Settings().system_metrics_seconds == DEFAULT_SECONDS
    document = {
        "meta": {"name": "e", "framework": "Shell", "cmd": "true", "envVars": {SECONDS_VARIABLE: "0"}},
        "spec": {"Worker": {"resources": "cpu=1"}},
    }
    launch = plan_launch(
        ExperimentSpec.model_validate(document),
        "e",
        "e",
        tracking=Tracking("http://m", "r", "0"),
        system_metrics_seconds=3,
    )
    platform = environment.platform_variables(launch, 0, "spool")
    assert platform[SECONDS_VARIABLE] == "3"
    assert (platform | launch.replicas[0].env)[SECONDS_VARIABLE] == "0"


def test_where_it_is_off_there_is_no_thread_and_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    off = Sampler(1, {SECONDS_VARIABLE: "0"}, "/", lambda *_: None, said.append).start()
    assert off._thread.ident is None
    off.stop()
    monkeypatch.setitem(sys.modules, "psutil", None)
    missing = Sampler(1, {SECONDS_VARIABLE: "0.01"}, "/", lambda *_: None, said.append).start()
    missing._thread.join(10)
    assert len(said) == 1 and said[0].startswith("[submarine] no system metrics: ")


class Driver:
    """A machine with two GPUs, as NVML tells of them."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: 3  # NVML_ERROR_NOT_SUPPORTED

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:
        handle._obj.value = 101
        return 0 if name == b"GPU-b" else 6

    def nvmlDeviceGetUtilizationRates(self, handle: Any, use: Any) -> int:
        use._obj.gpu = handle.value
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        memory._obj.total, memory._obj.used = 80_000_000_000, 20_000_000_000
        return 0


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, [100, 101]), ("1", [101]), ("1,0", [101, 100]), ("GPU-b", [101]), ("", []), ("-1", []), ("7,0", [])],
)
def test_gpus_are_those_of_the_replica(
    visible: str | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "ctypes", SimpleNamespace(**vars(ctypes) | {"CDLL": lambda _name: Driver()}))
    found = dict(nvml.Gpus({} if visible is None else {nvml.VISIBLE: visible}).metrics())
    assert [found[f"gpu_{number}_utilization_percentage"] for number in range(len(expected))] == expected
    assert len(found) == 3 * len(expected), "what a GPU does not tell is left out"
    if expected:
        assert found["gpu_0_memory_usage_percentage"] == 25 and found["gpu_0_memory_usage_megabytes"] == 20_000
