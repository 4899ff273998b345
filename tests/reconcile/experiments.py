"""The whole of experiments without Ray and MLflow: services over one database, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from submarine_ray.access.tokens import Tokens
from submarine_ray.access.tombstones import Tombstones
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.service import ClusterService
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core import clock, sealed
from submarine_ray.core.changes import Changes
from submarine_ray.core.database import Database, Table
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.errors import NotFound
from submarine_ray.core.leases import Lessee
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.experiments.feature import ExperimentFeature
from submarine_ray.experiments.perform import Performer
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.submit import Submitter
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import PackageStore
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Tracking
from submarine_ray.tracking.runs import OpenedRun
from submarine_ray.tracking.service import TrackingService
from tests.conftest import spec
from tests.reconcile.fakes import LEASE_MS, START_MS, ByHand
from tests.reconcile.jobs import FakeJobs


@dataclass
class PlayedTracking:
    """MLflow's side. Hooks are called in the middle of a call, with the run's id; they may raise."""

    runs: dict[str, str] = field(default_factory=dict)
    logs: list[tuple[str, str]] = field(default_factory=list)
    moved: list[tuple[str, str, str]] = field(default_factory=list)
    told: str | None = None
    opening: Callable[[str], None] = lambda _run: None
    storing: Callable[[str], None] = lambda _run: None
    service_url = "http://service"

    def wait_ready(self) -> None: ...

    def open_run(self, run_id: str, name: str, experiment_id: str, replica: str, tags: dict[str, str]) -> OpenedRun:
        self.opening(run_id)
        self.runs.setdefault(run_id, "RUNNING")
        return OpenedRun(run_id, "7", self.told)

    def reference(self, submission: str, run_id: str, mlflow_experiment_id: str) -> Tracking:
        return Tracking("http://service/mlflow", run_id, mlflow_experiment_id, "token")

    def put_directory(self, run_id: str, directory: Path, path: str = "") -> None:
        self.storing(run_id)
        if run_id not in self.runs:
            raise NotFound(f"Run with id={run_id} not found")
        self.logs.append((run_id, path))

    def move_files(self, run_id: str, directory: str, into: str, is_own: Callable[[str], bool]) -> None:
        self.moved.append((run_id, directory, into))

    def finish(self, run_id: str, succeeded: bool, stopped: bool = False) -> None:
        if run_id not in self.runs:
            raise NotFound(f"Run with id={run_id} not found")
        self.runs[run_id] = "FINISHED" if succeeded else "FAILED"

    def delete(self, run_id: str) -> None:
        self.runs[run_id] = "deleted"


class World:
    """A database, clusters and the time, and the services in it."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = START_MS
        self._directory = directory
        self.database = Database(f"sqlite:///{directory}/experiments.db")
        secrets = SecretBox(directory / "secret.key")
        sealed.use(self.database.engine, secrets)
        Table.metadata.create_all(self.database.engine)
        self.tracking = PlayedTracking()
        packages = PackageService(PackageStore(directory / "packages"), Tombstones(self.database))
        settings = Settings(home=directory, default_cluster="one")  # type: ignore[arg-type]
        self.clusters = ClusterService(self.database, settings, secrets, packages, Tokens(b"key"))
        self.admission = Admission(self.database, self.clusters)
        self.played: dict[str, FakeJobs] = {}
        self.clusters._driver = lambda name, _row: cast(Any, self.played[name])  # type: ignore[method-assign]
        self.spools = Spools(directory / "spool")
        self.api = ExperimentService(
            self.database, self.clusters, packages, self.admission, cast(TrackingService, self.tracking),
            EnvironmentService(self.database), Changes(), lambda: None, self.spools,
        )  # fmt: skip
        self.cluster("one")

    def cluster(self, name: str) -> FakeJobs:
        """A new cluster of this name."""
        self.played[name] = FakeJobs(cpu=64)
        with self.database.session(write=True) as session:
            session.add(ClusterRow(name=name, kind="ray", address="http://there", created_ms=self.now_ms))
        return self.played[name]

    def service(self, name: str, bounds: Bounds = Bounds()) -> Service:  # noqa: B008
        return Service(self, name, bounds)

    def submit(self, **changes: Any) -> str:
        """The id of a new experiment."""
        return self.api.create(ExperimentSpec.model_validate(spec(**changes))).experiment_id

    def row(self, id: str) -> ExperimentRow:
        with self.database.session() as session:
            return session.get_one(ExperimentRow, id)

    def rows(self) -> dict[str, ExperimentRow]:
        with self.database.session() as session:
            return {row.id: row for row in session.query(ExperimentRow)}

    def change(self, id: str, **values: Any) -> None:
        with self.database.session(write=True) as session:
            row = session.get_one(ExperimentRow, id)
            for name, value in values.items():
                setattr(row, name, value)

    def reasons(self, id: str) -> list[str]:
        """What users were told of an experiment."""
        return [event.reason for event in self.api.history(id)]


class Service:
    """One control service, whose workers and heartbeat are run by hand."""

    def __init__(self, world: World, name: str, bounds: Bounds) -> None:
        self.world = world
        self.workers = ByHand()
        tracking = cast(TrackingService, world.tracking)
        submitter = Submitter(world.database, world.clusters, tracking)
        performer = Performer(
            world.database, world.admission, tracking, Spools(world.spools._directory / name), submitter
        )
        feature = ExperimentFeature(
            world.database, world.clusters, world.admission, tracking, performer, Changes(), lambda: None
        )
        self.engine = Engine(feature, world.database, Lessee(name, LEASE_MS), bounds, self.workers)

    def work(self, ms: int = 0) -> None:
        """Do all that becomes due within `ms`."""
        end = self.world.now_ms + ms
        while True:
            for _ in range(20):
                pause = self.engine.tick()
                if not self.workers.work:
                    break
                self.workers.run()
            if self.world.now_ms >= end:
                return
            self.world.now_ms = min(end, self.world.now_ms + int(pause * 1000) + 1)


@contextmanager
def world(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(directory)
    monkeypatch.setattr(clock.CLOCK, "wall", lambda: made.now_ms)
    monkeypatch.setattr(clock.CLOCK, "_even", lambda: made.now_ms)
    monkeypatch.setattr(clock.CLOCK, "_apart", 0)
    monkeypatch.setattr(clock.CLOCK, "_server_apart", None)
    try:
        with structlog.testing.capture_logs():  # tracebacks with all their locals take seconds to write
            yield made
    finally:
        made.database.close()
