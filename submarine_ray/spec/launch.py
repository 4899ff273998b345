"""What one attempt runs, ready for the runner: the experiment's spec with everything resolved.

Plain dataclasses and no pydantic: the runner reads this before it starts a user's script, and each import there
delays every experiment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TypedDict

from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.system_metrics import DEFAULT_SECONDS

# The runner's exit status for a failure that a new attempt would only repeat.
FINAL_STATUS = 213
# And for an attempt that has begun before: somebody started it again, and this run has done nothing.
BEGUN_BEFORE_STATUS = 214
# And for an attempt that could not fetch what it is to run.
NOT_REACHED_STATUS = 215
# How a replica's log tells that something logged could not be stored: the service makes an event of such a line.
NOT_STORED = "[submarine] not stored: "
# At the end of a line in a job's log: it is not finished, and the next line of the same replica takes its place.
UNFINISHED = "\r"
# How many seconds a process has between SIGTERM and SIGKILL where nothing else is said; Kubernetes' own default.
GRACE_SECONDS = 30
# Where a launch is fetched from, and with what, on clusters whose records of jobs others may read.
BEGIN_VARIABLE = "SUBMARINE_BEGIN_URL"
TICKET_VARIABLE = "SUBMARINE_TICKET"
# What Ray has to leave the runner beyond that: it ends the processes itself, and sends their last metrics and lines.
GRACE_MARGIN = 15
# Ray's variable for how long it leaves a stopped job before it kills it; 3 seconds where it is not set.
RAY_STOP_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"


@dataclass(frozen=True)
class Replica:
    """One process to start. `memory` in bytes; `shell` runs `command` by the shell instead of splitting it."""

    role: str
    index: int
    command: str
    shell: bool = False
    env: dict[str, str] = field(default_factory=dict)
    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}"


@dataclass(frozen=True)
class Code:
    """Code to fetch: a git repository, or anything fsspec can read (`path` on a disk the cluster shares)."""

    mode: str
    url: str
    ref: str | None = None
    username: str | None = None
    password: str | None = None
    verify_certificates: bool = True


@dataclass(frozen=True)
class Tracking:
    """MLflow's server and the experiment's run in it; `token` where the server asks for one."""

    uri: str
    run_id: str
    experiment_id: str
    token: str | None = None


@dataclass(frozen=True)
class Notebook:
    """A JupyterLab in place of a command: its files in `folder` below where the cluster keeps notebooks' files.

    `path` is where the control service shows it; `token` opens it; it ends after `idle_seconds` idle (0: never).
    """

    folder: str
    path: str
    token: str
    idle_seconds: int = 0
    host: str | None = None


class Scheduler(TypedDict, total=False):
    """Which trials end early: see `spec.tune.SchedulerSpec`."""

    type: str
    max_iterations: int
    grace_period: int
    reduction_factor: float
    perturbation_interval: int


class Stop(TypedDict, total=False):
    """When a trial ends: see `spec.tune.StopSpec`."""

    iterations: int
    time: float
    metric: float


@dataclass(frozen=True)
class Tune:
    """A sweep instead of one run: see `spec/tune.py` for what each means. `scheduler` and `stop` have snake_case keys.

    `max_concurrent` is how many trials the cluster has room for, at most.
    """

    search_space: JsonObject
    metric: str
    mode: str
    num_samples: int = 10
    max_concurrent: int = 1
    algorithm: str = "random"
    scheduler: Scheduler = field(default_factory=Scheduler)
    stop: Stop = field(default_factory=Stop)
    time_budget: float | None = None
    seed: int | None = None
    max_failures: int = 0
    register_best: str | None = None


class LaunchKind(StrEnum):
    """What an attempt runs: which module of the runner does it, and where its resources are held."""

    COMMAND = "command"
    """One process, in the job's entrypoint."""
    GANG = "gang"
    """Several processes that start together, in actors."""
    FUNCTION = "function"
    """A train function, by Ray Train."""
    SWEEP = "sweep"
    """Trials of any of these three, by Ray Tune."""
    NOTEBOOK = "notebook"
    """JupyterLab, in the job's entrypoint."""


@dataclass(frozen=True)
class Launch:
    """An attempt: its replicas, in rank order, and what they share. `begin_url` is where the runner asks whether it may
    begin, on clusters that may start an attempt twice.
    """

    experiment_id: str
    submission_id: str
    name: str
    framework: str
    replicas: tuple[Replica, ...]
    work_dir: str | None = None
    keep_work: bool = False
    tensorboard_dir: str | None = None
    storage_dir: str | None = None
    code: Code | None = None
    function: bool = False
    max_retries: int = 0
    tracking: Tracking | None = None
    service_url: str | None = None
    begin_url: str | None = None
    notebook: Notebook | None = None
    tune: Tune | None = None
    trial_id: str | None = None
    grace_seconds: int = GRACE_SECONDS
    system_metrics_seconds: float = DEFAULT_SECONDS

    @property
    def kind(self) -> LaunchKind:
        """What it runs. A sweep is one whatever its trials are."""
        if self.notebook:
            return LaunchKind.NOTEBOOK
        if self.tune:
            return LaunchKind.SWEEP
        if self.function:
            return LaunchKind.FUNCTION
        return LaunchKind.COMMAND if len(self.replicas) == 1 else LaunchKind.GANG

    def begin_address(self) -> str:
        """Where the runner asks for this launch, or whether it may begin."""
        what = "notebook" if self.kind is LaunchKind.NOTEBOOK else "experiment"
        return f"{self.service_url}/api/v1/{what}/{self.experiment_id}/begin"

    def wishes_address(self) -> str:
        """Where a sweep's driver asks what users want of it."""
        return f"{self.service_url}/api/v1/experiment/{self.experiment_id}/wishes"

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Launch:
        document = json.loads(text)
        document["replicas"] = tuple(Replica(**replica) for replica in document["replicas"])
        document["code"] = Code(**document["code"]) if document["code"] else None
        document["tracking"] = Tracking(**document["tracking"]) if document["tracking"] else None
        document["notebook"] = Notebook(**document["notebook"]) if document["notebook"] else None
        document["tune"] = Tune(**document["tune"]) if document["tune"] else None
        return cls(**document)
