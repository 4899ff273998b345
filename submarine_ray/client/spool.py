"""The way of a metric: the training process appends a line to a file, a shipper beside it sends them (shipper.py).

Appending costs microseconds and no thread in the training process; the file outlives a crash of it, so what was
logged before a SIGKILL is sent as well. Only the standard library: this runs beside every replica.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.spec.records import Metric, Param, Record
from submarine_ray.spec.spool import lines, media_queue
from submarine_ray.spec.spool.lines import PIECE_BYTES, Piece
from submarine_ray.spec.tags import run_tags

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
        self.media = media_queue(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._is_torn = False

    def metric(self, key: str, value: float, step: int) -> None:
        self.write(Metric(key, value, step, time.time_ns() // 1_000_000))

    def param(self, key: str, value: str) -> None:
        self.write(Param(key, value))

    def write(self, record: Record) -> None:
        """Append a record. Raises OSError: the disk is full."""
        line = lines.written(record)
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


def piece(path: Path, offset: int, most: int) -> Piece | None:
    """The next `most` of a spool's records at most; None if no whole one is there. Raises OSError."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(offset)
        return lines.first(file.read(PIECE_BYTES), offset, most)
