"""The way of a metric: the training process appends a line to a file, a shipper sends batches to MLflow.

Appending costs microseconds and no thread in the training process; the file outlives a crash of it, so what was
logged before a SIGKILL is sent as well. Only the standard library: this runs beside every replica.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BATCH_METRICS = 1000  # MLflow's limit for one log-batch
BATCH_PARAMS = 100
SHIP_SECONDS = 0.5
REQUEST_SECONDS = 30
CLOSE_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """The experiment's MLflow run, and whose records go where: the leader's into it, others' into runs below it."""

    uri: str
    run_id: str
    mlflow_experiment_id: str
    experiment_id: str
    replica: str
    is_leader: bool
    token: str | None = None


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


class MlflowRest:
    """The three MLflow calls that shipping needs, over one kept connection."""

    def __init__(self, run: Run) -> None:
        parts = urlsplit(run.uri)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_SECONDS)
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if run.token:
            self._headers["Authorization"] = f"Bearer {run.token}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises OSError or HTTPException when the server cannot be reached, TrackingRefused when it says no."""
        try:
            self._connection.request("POST", f"{self._prefix}/api/2.0/mlflow/{path}", json.dumps(body), self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status in (429, 500, 502, 503, 504):
            raise OSError(f"HTTP {answer.status} from {path}")
        if answer.status != 200:
            raise TrackingRefused(f"HTTP {answer.status}: {content[:500].decode(errors='replace')}")
        return dict(json.loads(content or b"{}"))


class Shipper:
    """Sends what a spool holds, and goes on until closed; a server that is away is waited for."""

    def __init__(self, path: Path, run: Run) -> None:
        self._path = path
        self._run = run
        self._rest: MlflowRest | None = None
        self._run_id: str | None = None
        self._offset = 0
        self._closing = threading.Event()
        self.refused: str | None = None
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> Shipper:
        self._thread.start()
        return self

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Send the rest; False if `timeout` seconds were not enough."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive() and self.refused is None

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the file: what was written before closing is sent
            try:
                more = self._ship()
            except (OSError, http.client.HTTPException):
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
        for line in self._lines():
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
        try:
            rest = self._rest = self._rest or MlflowRest(self._run)
            self._run_id = self._run_id or _replica_run(rest, self._run)
            rest.post("runs/log-batch", {"run_id": self._run_id, "metrics": metrics, "params": params})
        except TrackingRefused as failure:
            if self.refused is None:
                print(f"[submarine] MLflow refused metrics or parameters: {failure}", flush=True)
            self.refused = str(failure)
        self._offset = offset
        return True

    def _lines(self) -> Iterator[bytes]:
        """Whole lines from where the last batch ended."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line


def _number(value: float) -> float | str:
    """JSON has no NaN; MLflow's protobuf form spells it out."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _replica_run(rest: MlflowRest, run: Run) -> str:
    """The run that this replica's records belong to: the leader's is the experiment's own."""
    if run.is_leader:
        return run.run_id
    found = rest.post(
        "runs/search",
        {
            "experiment_ids": [run.mlflow_experiment_id],
            "filter": f"tags.`submarine.experiment_id` = '{run.experiment_id}' "
            f"and tags.`submarine.replica` = '{run.replica}'",
            "max_results": 1,
        },
    )
    if found.get("runs"):
        return str(found["runs"][0]["info"]["run_id"])
    tags = {
        "submarine.experiment_id": run.experiment_id,
        "submarine.replica": run.replica,
        "mlflow.parentRunId": run.run_id,
    }
    made = rest.post(
        "runs/create",
        {
            "experiment_id": run.mlflow_experiment_id,
            "run_name": f"{run.experiment_id}-{run.replica}",
            "start_time": time.time_ns() // 1_000_000,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
    )
    return str(made["run"]["info"]["run_id"])
