"""The way of a metric: the training process appends a line to a file, a shipper beside it sends batches to MLflow.

Appending costs microseconds and no thread in the training process; the file outlives a crash of it, so what was
logged before a SIGKILL is sent as well. Only the standard library: this runs beside every replica.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submarine_ray.spec.trials import SWEEP_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from submarine_ray.client.mlflow_rest import MlflowRest

BATCH_METRICS = 1000  # MLflow's limit for one log-batch
BATCH_PARAMS = 100
SHIP_SECONDS = 0.5
CLOSE_SECONDS = 60

TRIAL_VARIABLE = "SUBMARINE_TRIAL_ID"
SPOOL_VARIABLE = "SUBMARINE_SPOOL"
REPLICA_VARIABLE = "SUBMARINE_REPLICA"
LEADER_VARIABLE = "SUBMARINE_LEADER"


@dataclass(frozen=True)
class Run:
    """The experiment's MLflow run, and whose records go where: the leader's into it, others' into runs below it.

    In a sweep, `run_id` is the trial's run, which is below the experiment's.
    """

    uri: str
    run_id: str
    mlflow_experiment_id: str
    experiment_id: str
    replica: str
    is_leader: bool
    token: str | None = None
    trial_id: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Run | None:
        """The run that a replica's environment names."""
        uri, run_id = env.get("MLFLOW_TRACKING_URI", ""), env.get("MLFLOW_RUN_ID")
        if not uri.startswith(("http://", "https://")) or not run_id:
            return None
        return cls(
            uri=uri,
            run_id=run_id,
            mlflow_experiment_id=env.get("MLFLOW_EXPERIMENT_ID", "0"),
            experiment_id=env.get("SUBMARINE_EXPERIMENT_ID", run_id),
            replica=env.get(REPLICA_VARIABLE, "worker-0"),
            is_leader=env.get(LEADER_VARIABLE, "1") == "1",
            token=env.get("MLFLOW_TRACKING_TOKEN"),
            trial_id=env.get(TRIAL_VARIABLE),
        )

    @property
    def tags(self) -> dict[str, str]:
        """What this run and those below it are found by. Trials' have their own, so that they stay apart."""
        if self.trial_id:
            return {SWEEP_TAG: self.experiment_id, TRIAL_TAG: self.trial_id}
        return {"submarine.experiment_id": self.experiment_id}


class TrackingRefused(Exception):
    """MLflow understood and said no: sending the same again would not help."""


class Spool:
    """The training process's end. Safe for threads; a record is whole or absent."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def metric(self, key: str, value: float, step: int) -> None:
        os.write(self._file, json.dumps([key, value, step, time.time_ns() // 1_000_000]).encode() + b"\n")

    def param(self, key: str, value: str) -> None:
        os.write(self._file, json.dumps([key, value]).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


class Shipper:
    """Sends what a spool holds, and goes on until closed; a server that is away is waited for."""

    def __init__(self, path: Path, run: Run) -> None:
        self._path = path
        self._run = run
        self._rest: MlflowRest | None = None
        self._run_id = ""
        self._offset = 0
        self._closing = threading.Event()
        self.refused: str | None = None
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> Shipper:
        self._thread.start()
        return self

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Send the rest; False if `timeout` seconds were not enough, or something was refused."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive() and self.refused is None

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the file: what was written before closing is sent
            try:
                more = self._ship()
            except OSError:
                time.sleep(1.0)
                continue
            if not more:
                if closing:
                    return
                self._closing.wait(SHIP_SECONDS)

    def _ship(self) -> bool:
        """Send one batch; whether there was one."""
        metrics: list[dict[str, Any]] = []
        params: list[dict[str, Any]] = []
        offset = self._offset
        for line in whole_lines(self._path, offset):
            record = json.loads(line)
            if len(record) == 2:
                params.append({"key": record[0], "value": record[1]})
            else:
                metrics.append(
                    {"key": record[0], "value": _number(record[1]), "step": record[2], "timestamp": record[3]}
                )
            offset += len(line)
            if len(metrics) >= BATCH_METRICS or len(params) >= BATCH_PARAMS:
                break
        if offset == self._offset:
            return False
        rest = self._connect()
        self._send(rest, "metrics", metrics)
        self._send(rest, "params", params)
        self._offset = offset
        return True

    def _connect(self) -> MlflowRest:
        if self._rest is None:
            # Late: a script that logs nothing does not pay for the import of an HTTP client.
            from submarine_ray.client.mlflow_rest import MlflowRest

            rest = MlflowRest(self._run)
            self._run_id = rest.replica_run(self._run)
            self._rest = rest
        return self._rest

    def _send(self, rest: MlflowRest, kind: str, records: list[dict[str, Any]]) -> None:
        """Send records; of a batch that is refused, all but those that MLflow really does not want."""
        if not records:
            return
        try:
            rest.post("runs/log-batch", {"run_id": self._run_id, kind: records})
        except TrackingRefused as failure:
            if len(records) > 1:
                half = len(records) // 2
                self._send(rest, kind, records[:half])
                self._send(rest, kind, records[half:])
                return
            if self.refused is None:
                print(f"[submarine] MLflow refused {records[0]['key']!r}: {failure}", flush=True)
            self.refused = str(failure)


def whole_lines(path: Path, offset: int) -> Iterator[bytes]:
    """A spool's records from an offset on, but for one that is still being written."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line


def _number(value: float) -> float | str:
    """JSON has no NaN; MLflow's protobuf form spells it out."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
