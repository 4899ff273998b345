"""Clusters: which there are, what they have, and a driver for each."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from submarine_ray.clusters import repository
from submarine_ray.clusters.drivers.base import Capacity, Driver, Unreachable
from submarine_ray.clusters.drivers.disk import Disk
from submarine_ray.clusters.drivers.packages import PackageStore
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, InvalidSpec, NotFound
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.spec.clusters import LOCAL_CLUSTER, ClusterSpec
from submarine_ray.spec.experiment import ExperimentSpec, KernelSpec
from submarine_ray.spec.plan import trials_at_once
from submarine_ray.spec.quantities import Resources

# A capacity this old is asked for again.
CAPACITY_SECONDS = 5.0
PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Connection:
    """Where a cluster answers, and with which token; of the local one, Ray's `directory` too."""

    address: str
    token: str | None
    directory: Path | None = None


class ClusterUser(Protocol):
    """A feature that runs jobs on clusters."""

    def in_use(self, cluster: str) -> Resources:
        """What its jobs hold of a cluster."""

    def unfinished(self, cluster: str) -> int:
        """How many of its things still need the cluster, be it to end there."""


class ClusterService:
    """Keeps the clusters, and hands out drivers to the reconcilers."""

    def __init__(self, database: Database, settings: Settings, secrets: SecretBox, packages: PackageStore) -> None:
        self._database = database
        self._settings = settings
        self._secrets = secrets
        self.packages = packages
        self._drivers: dict[str, tuple[Connection, Driver]] = {}
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, Capacity]] = {}
        self._users: list[ClusterUser] = []

    def ensure_local(self) -> None:
        """The local cluster is always listed, running or not."""
        with self._database.session(write=True) as session:
            if repository.find(session, LOCAL_CLUSTER) is None:
                repository.add(session, ClusterRow(name=LOCAL_CLUSTER, kind="local", created_ms=now_ms()))

    def create(self, spec: ClusterSpec) -> dict[str, Any]:
        """Register a running Ray cluster. Raises AlreadyExists."""
        row = ClusterRow(
            name=spec.name,
            kind=spec.kind,
            address=spec.address,
            sealed_token=self._secrets.seal(spec.token.get_secret_value()) if spec.token else None,
            serve_url=spec.serve_url,
            created_ms=now_ms(),
        )
        with self._database.session(write=True) as session:
            repository.add(session, row)
            return _answer(row)

    def get(self, name: str) -> dict[str, Any]:
        return _answer(self._row(name))

    def list_all(self) -> list[dict[str, Any]]:
        with self._database.session() as session:
            return [_answer(row) for row in repository.list_all(session)]

    def delete(self, name: str) -> dict[str, Any]:
        """Forget a cluster. Raises NotFound; Conflict for the local one, and while something is still to end there."""
        if name == LOCAL_CLUSTER:
            raise Conflict("The local cluster belongs to this platform; `submarine down` stops it.")
        row = self._row(name)
        if left := sum(user.unfinished(name) for user in self._users):
            raise Conflict(
                f"{left} experiments or notebooks still run on {name!r}, or are being put away; "
                "stop or delete them, and try again in a moment."
            )
        with self._database.session(write=True) as session:
            repository.remove(session, name)
        with self._lock:
            known = self._drivers.pop(name, None)
        if known:
            known[1].close()
        return _answer(row)

    def add_user(self, user: ClusterUser) -> None:
        """Reckon with a feature's jobs."""
        self._users.append(user)

    def in_use(self, name: str) -> Resources:
        """What all features' jobs hold of a cluster."""
        return sum((user.in_use(name) for user in self._users), Resources())

    def check_one(self, name: str, demand: Resources, field: str) -> None:
        """Refuse at once a process that no node of the cluster can ever hold. Raises InvalidSpec."""
        row = self._known(name)
        if row.total_cpu is not None:
            self._check_node(row, demand, field, "; ask for less, or choose another cluster")

    def check_demand(self, name: str, spec: ExperimentSpec) -> None:
        """Refuse at once what the cluster can never run. Raises InvalidSpec; an unseen cluster is given the benefit."""
        row = self._known(name)
        total = _total(row)
        if total is None or spec.queue:
            return
        hint = "; ask for less, choose another cluster, or set queue: true to wait for the cluster to grow"
        for role, task in spec.spec.items():
            self._check_node(row, task.quantities, f"spec.{role}.resources", hint)
        if not spec.demand.fits(total):
            raise InvalidSpec(
                f"all replicas together need {_shortage(spec.demand, total)} in the whole of cluster {name!r}{hint}",
                "spec",
            )

    def trials_at_once(self, name: str, spec: ExperimentSpec) -> int:
        """How many runs of the experiment go on together on this cluster: several only of a sweep."""
        if spec.tune is None:
            return 1
        row = self._find(name)
        return trials_at_once(spec, _total(row) if row else None)

    @staticmethod
    def _check_node(row: ClusterRow, demand: Resources, field: str, hint: str) -> None:
        node = Resources(row.node_cpu or 0, row.node_memory or 0, row.node_gpu or 0)
        if not demand.fits(node):
            raise InvalidSpec(
                f"{_shortage(demand, node)} on one node, and no node of cluster {row.name!r} has that{hint}", field
            )

    def _known(self, name: str) -> ClusterRow:
        row = self._find(name)
        if row is None:
            raise InvalidSpec(
                f"there is no cluster {name[:80]!r}; `GET /api/v1/cluster` lists them, `POST /api/v1/cluster` adds one",
                "cluster",
            )
        return row

    def check_packages(self, name: str, kernel: KernelSpec) -> None:
        """Refuse conda packages where this service knows that there is no conda. Raises InvalidSpec."""
        if kernel.conda_dependencies and self.is_local(name) and shutil.which("conda") is None:
            raise InvalidSpec(
                f"cluster {name!r} has no conda; install it there, or list the packages as pipDependencies",
                "environment.kernelSpec.condaDependencies",
            )

    def driver(self, name: str) -> Driver:
        """The cluster's driver, made anew when its address or token changed. Raises Unreachable if it has none now."""
        connection = self._connection(name)
        with self._lock:
            known = self._drivers.get(name)
            if known and known[0] == connection:
                return known[1]
            driver = RayJobs(
                connection.address,
                connection.token,
                self.packages,
                self._settings.cluster_timeout_seconds,
                Disk(self._settings.layout, connection.directory) if connection.directory else None,
            )
            self._drivers[name] = (connection, driver)
        if known:
            known[1].close()
        return driver

    def capacity(self, name: str, fresh: bool = False) -> Capacity:
        """What the cluster has, at most some seconds old, noted for users to see. Raises Unreachable."""
        seen = None if fresh else self._seen.get(name)
        if seen and now_ms() - seen[0] < CAPACITY_SECONDS * 1000:
            return seen[1]
        try:
            capacity = self.driver(name).capacity()
        except Unreachable as failure:
            self._seen.pop(name, None)
            with self._database.session(write=True) as session:
                repository.record(session, name, {"healthy": False, "message": str(failure)})
            raise
        self._seen[name] = (now_ms(), capacity)
        with self._database.session(write=True) as session:
            repository.record(session, name, _observed(capacity))
        return capacity

    def names(self) -> list[str]:
        with self._database.session() as session:
            return [row.name for row in repository.list_all(session)]

    def serve_url(self, name: str) -> str:
        """Where this cluster's endpoints answer, as users reach it."""
        row = self._row(name)
        if row.kind == LOCAL_CLUSTER:
            state = self._local_state()
            return f"http://{state['serveHost']}:{state['servePort']}" if state else "http://127.0.0.1:8000"
        return row.serve_url or f"http://{(row.address or '').split('//')[-1].split(':')[0]}:8000"

    def serve_answers(self, name: str, path: str) -> bool:
        """Whether Serve answers at `path`. Of other clusters than the local one it is assumed: this service may stand
        where their endpoints cannot be reached from.
        """
        if not self.is_local(name):
            return True
        try:
            return httpx.get(f"{self.serve_url(name)}{path}", timeout=PROBE_SECONDS).status_code == 200
        except httpx.HTTPError:
            return False

    def serve_http_options(self, name: str) -> dict[str, Any]:
        """Serve's HTTP options for this cluster; fixed at Serve's first start there."""
        state = self._local_state() if self._row(name).kind == LOCAL_CLUSTER else None
        return {"host": state["serveHost"], "port": state["servePort"]} if state else {"host": "0.0.0.0", "port": 8000}  # noqa: S104 (inside a remote cluster)

    def is_local(self, name: str) -> bool:
        return self._row(name).kind == LOCAL_CLUSTER

    def close(self) -> None:
        with self._lock:
            for _, driver in self._drivers.values():
                driver.close()
            self._drivers.clear()

    def _connection(self, name: str) -> Connection:
        row = self._find(name)
        if row is None:
            raise Unreachable(f"the cluster {name!r} was deleted")
        if row.kind != LOCAL_CLUSTER:
            return Connection(row.address or "", self._secrets.open(row.sealed_token) if row.sealed_token else None)
        state = self._local_state()
        if state is None:
            raise Unreachable("the local Ray cluster is not running; start it with `submarine up`")
        token = self._settings.layout.ray_token.read_text().strip()
        return Connection(state["address"], token, Path(state["directory"]))

    def _local_state(self) -> dict[str, Any] | None:
        """What `submarine up` wrote; read each time, because a restarted cluster may answer elsewhere."""
        try:
            state: dict[str, Any] = json.loads(self._settings.layout.ray_state.read_text())
            return state
        except (OSError, ValueError):
            return None

    def _find(self, name: str) -> ClusterRow | None:
        with self._database.session() as session:
            return repository.find(session, name)

    def _row(self, name: str) -> ClusterRow:
        row = self._find(name)
        if row is None:
            raise NotFound(f"There is no cluster {name[:80]!r}.")
        return row


def _total(row: ClusterRow) -> Resources | None:
    """All that the cluster has, as it was last seen; None if it never was."""
    return None if row.total_cpu is None else Resources(row.total_cpu, row.total_memory or 0, row.total_gpu or 0)


def _shortage(asked: Resources, has: Resources) -> str:
    if asked.gpu > has.gpu:
        return f"{asked.gpu:g} GPUs where there are {has.gpu:g}"
    if asked.cpu > has.cpu:
        return f"{asked.cpu:g} CPUs where there are {has.cpu:g}"
    return f"{asked.memory} bytes of memory where there are {has.memory}"


def _observed(capacity: Capacity) -> dict[str, Any]:
    total, largest = capacity.total, capacity.largest_node
    return {
        "healthy": True,
        "message": None,
        "incarnation": capacity.incarnation,
        "nodes": len(capacity.nodes),
        "total_cpu": total.cpu,
        "total_memory": total.memory,
        "total_gpu": total.gpu,
        "node_cpu": largest.cpu,
        "node_memory": largest.memory,
        "node_gpu": largest.gpu,
    }


def _answer(row: ClusterRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "address": row.address,
        "serveUrl": row.serve_url,
        "createdTime": iso(row.created_ms),
        "observedTime": iso(row.observed_ms),
        "healthy": row.healthy,
        "message": row.message,
        "nodes": row.nodes,
        "resources": None
        if row.total_cpu is None
        else {"cpu": row.total_cpu, "memory": row.total_memory, "gpu": row.total_gpu},
    }
