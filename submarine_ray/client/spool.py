"""The way of a metric: the training process appends a line to a file, a shipper beside it sends batches to MLflow.

Appending costs microseconds and no thread in the training process; the file outlives a crash of it, so what was
logged before a SIGKILL is sent as well. Only the standard library: this runs beside every replica.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from submarine_ray.client.records import Metric, Param, Record, parsed
from submarine_ray.spec.launch import NOT_STORED
from submarine_ray.spec.trials import run_tags

if TYPE_CHECKING:
    from submarine_ray.client.mlflow_rest import MlflowRest

BATCH_METRICS = 1000  # MLflow's limit for one log-batch
BATCH_PARAMS = 100
SHIP_SECONDS = 0.5
CLOSE_SECONDS = 60
MAX_WARNINGS = 20

TRIAL_VARIABLE = "SUBMARINE_TRIAL_ID"
SPOOL_VARIABLE = "SUBMARINE_SPOOL"
REPLICA_VARIABLE = "SUBMARINE_REPLICA"
LEADER_VARIABLE = "SUBMARINE_LEADER"
# The server's URI, the run, its MLflow experiment, the token.
_OWN_VARIABLES = (
    "SUBMARINE_TRACKING_URI", "SUBMARINE_RUN_ID", "SUBMARINE_TRACKING_EXPERIMENT", "SUBMARINE_TRACKING_TOKEN",
)  # fmt: skip
_MLFLOW_VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_TOKEN")


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
        # The platform's own first: MLflow takes its run's away once a script has begun it, and users change the others.
        ours = "SUBMARINE_TRACKING_URI" in env
        uri, run_id, experiment, token = (env.get(name) for name in (_OWN_VARIABLES if ours else _MLFLOW_VARIABLES))
        if uri is None or not uri.startswith(("http://", "https://")) or not run_id:
            return None
        return cls(
            uri=uri,
            run_id=run_id,
            mlflow_experiment_id=experiment or "0",
            experiment_id=env.get("SUBMARINE_EXPERIMENT_ID", run_id),
            replica=env.get(REPLICA_VARIABLE, "worker-0"),
            is_leader=env.get(LEADER_VARIABLE, "1") == "1",
            token=token,
            trial_id=env.get(TRIAL_VARIABLE),
        )

    @property
    def tags(self) -> dict[str, str]:
        """What this run and those below it are found by."""
        return run_tags(self.experiment_id, self.trial_id)


class TrackingRefused(Exception):
    """MLflow understood and said no: sending the same again would not help. `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_of_the_run(self) -> bool:
        """Whether no record would be taken: the run is gone, or it is not for this client."""
        return self.status in (401, 403, 404) or "'active' state" in str(self)


class Spool:
    """The training process's end. Safe for threads; a record is whole, or it raises OSError."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._is_torn = False

    def metric(self, key: str, value: float, step: int) -> None:
        self.write(Metric(key, value, step, time.time_ns() // 1_000_000))

    def param(self, key: str, value: str) -> None:
        self.write(Param(key, value))

    def write(self, record: Record) -> None:
        """Append a record. Raises OSError: the disk is full."""
        line = record.line()
        if self._is_torn:
            line = b"\n" + line  # what was torn must not take this one with it
        written = os.write(self._file, line)
        self._is_torn = written < len(line)
        if self._is_torn:
            raise OSError(errno.ENOSPC, f"{record} was not logged: the disk is full")

    def close(self) -> None:
        os.close(self._file)


def say(text: str) -> None:
    """The default for a shipper's warnings; nobody may be left to read them."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


class Shipper:
    """Sends what a spool holds, and goes on until closed; a server that is away is waited for.

    A record that MLflow does not take costs itself alone; `warn` is told of it, in a line, MAX_WARNINGS times at most.
    """

    def __init__(self, path: Path, run: Run, warn: Callable[[str], None] = say) -> None:
        self._path = path
        self._run = run
        self._warn = warn
        self._rest: MlflowRest | None = None
        self._run_id = ""
        self._offset = 0
        self._closing = threading.Event()
        self._is_complete = False
        self.refused = 0
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> Shipper:
        self._thread.start()
        return self

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Send the rest; False, and a warning, if `timeout` seconds were not enough, or something was refused."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self._thread.is_alive():
            self._warn(f"{NOT_STORED}what was logged last: the tracking server did not take it within {timeout:g} s")
        elif self.refused > MAX_WARNINGS:
            self._warn(f"{NOT_STORED}{self.refused - MAX_WARNINGS} more records")
        return self._is_complete and not self.refused

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the file: what was written before closing is sent
            try:
                more = self._ship()
            except OSError:
                time.sleep(1.0)
                continue
            except TrackingRefused as failure:
                self._note([f"what this replica logs: {failure}"])
                return
            if not more:
                if closing:
                    self._is_complete = True
                    return
                self._closing.wait(SHIP_SECONDS)

    def _ship(self) -> bool:
        """Send one batch; whether there was one. Raises OSError, TrackingRefused if the run takes nothing."""
        metrics: list[Metric] = []
        params: list[Param] = []
        refused: list[str] = []
        offset = self._offset
        for line in whole_lines(self._path, offset):
            offset += len(line)
            try:
                record = parsed(line)
            except ValueError as failure:
                if line != b"\n":
                    refused.append(str(failure))
                continue
            metrics.append(record) if isinstance(record, Metric) else params.append(record)
            if len(metrics) >= BATCH_METRICS or len(params) >= BATCH_PARAMS:
                break
        if offset == self._offset:
            return False
        rest = self._connect()
        refused += self._send(rest, "metrics", metrics)
        refused += self._send(rest, "params", params)
        self._offset = offset  # only now: until here, what broke off is sent again, and told once
        self._note(refused)
        return True

    def _connect(self) -> MlflowRest:
        if self._rest is None:
            # Late: a script that logs nothing does not pay for the import of an HTTP client.
            from submarine_ray.client.mlflow_rest import MlflowRest

            rest = MlflowRest(self._run)
            self._run_id = rest.replica_run(self._run)
            self._rest = rest
        return self._rest

    def _send(self, rest: MlflowRest, kind: str, records: Sequence[Record]) -> list[str]:
        """Send records; of a batch that is refused, all but those that MLflow really does not want: these, and why."""
        if not records:
            return []
        try:
            rest.post("runs/log-batch", {"run_id": self._run_id, kind: [record.body() for record in records]})
        except TrackingRefused as failure:
            if failure.is_of_the_run:
                raise
            if len(records) == 1:
                return [f"{records[0]}: {failure}"]
            half = len(records) // 2
            return self._send(rest, kind, records[:half]) + self._send(rest, kind, records[half:])
        return []

    def _note(self, refused: Sequence[str]) -> None:
        for number, what in enumerate(refused, start=self.refused):
            if number < MAX_WARNINGS:
                self._warn(f"{NOT_STORED}{' '.join(what.split())}")
        self.refused += len(refused)


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
