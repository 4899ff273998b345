"""The registry of clusters: their capacity and health, and a driver for each."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from submarine_ray.access.tokens import Tokens
from submarine_ray.access.tombstones import bury
from submarine_ray.clusters import observed, register, removal, repository
from submarine_ray.clusters.addresses import Addresses
from submarine_ray.clusters.connect import Connections
from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.drivers.base import Capacity, ClusterError, Driver, Unreachable
from submarine_ray.clusters.drivers.kinds import Capabilities, Check, Means
from submarine_ray.clusters.launches import Launches
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core import leases
from submarine_ray.core.clock import due_ms, iso, now_ms
from submarine_ray.core.database import Database, Session
from submarine_ray.core.errors import AlreadyExists, Conflict, InvalidSpec, NotFound, SecretLost
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.core.waiting import Waiting
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.answers.clusters import Cluster, ClusterCheck
from submarine_ray.spec.clusters import LOCAL_CLUSTER, ClusterSpec
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.experiment import EnvironmentSpec, ExperimentSpec, KernelSpec
from submarine_ray.spec.quantities import UNBOUNDED, Resources


class ClusterUser(Protocol):
    """A feature that has things on clusters."""

    def unfinished(self, cluster: str) -> int:
        """How many of its things still need the cluster, be it to end there."""

    def abandon(self, cluster: str) -> None:
        """The cluster is given up: what runs there has failed, and nobody will put it away."""


@dataclass(frozen=True)
class LastSeen:
    """A cluster as it is registered, and as it was last seen: `total` and `largest_node` are None where there is no
    bound, or none is known.
    """

    name: str
    healthy: bool | None
    total: Resources | None
    largest_node: Resources | None
    labels: Mapping[str, str]
    gpu_type: str | None
    capabilities: Capabilities


class ClusterService:
    """Keeps the clusters, and hands out drivers to the reconcilers."""

    def __init__(
        self, database: Database, settings: Settings, secrets: SecretBox, packages: PackageService, tokens: Tokens
    ) -> None:
        self._database = database
        self._settings = settings
        self._secrets = secrets
        self.waiting = Waiting()  # for requests that ask a cluster
        self.launches = Launches(database, secrets, tokens, settings.url)
        outgoing = Outgoing(settings.allow_cluster_networks)
        self._means = Means(settings, secrets, packages, self.launches, outgoing, self._tell)
        self._connections = Connections(self._means)
        self.addresses = Addresses(self._means, self._row)
        self._users: list[ClusterUser] = []
        self._listeners: list[Callable[[frozenset[str]], None]] = []

    def ensure_local(self) -> None:
        """The local cluster is always listed, running or not."""
        with self._database.session(write=True) as session:
            if repository.find(session, LOCAL_CLUSTER) is None:
                repository.add(session, ClusterRow(name=LOCAL_CLUSTER, kind=LOCAL_CLUSTER, created_ms=now_ms()))

    def create(self, spec: ClusterSpec) -> Cluster:
        """Register a cluster. Raises AlreadyExists, InvalidSpec."""
        if spec.name == LOCAL_CLUSTER:
            raise InvalidSpec("'local' is the cluster that `submarine up` starts; choose another name", "name")
        register.check(spec, self._settings)
        row = ClusterRow(
            name=spec.name, created_ms=now_ms(), uid=str(uuid.uuid4()), **register.columns(spec, self._secrets)
        )
        with self._database.session(write=True) as session:
            repository.add(session, row)
            return _answer(row)

    def load_configurations(self) -> None:
        """Register the clusters in the directory of configurations, and bring those up to date that changed there."""
        for spec in register.read(self._settings):
            with self._database.session(write=True) as session:
                known = repository.find(session, spec.name)
                if known is not None:
                    repository.change(session, spec.name, register.columns(spec, self._secrets))
            if known is None:
                with contextlib.suppress(AlreadyExists):  # somebody registers it at this very moment
                    self.create(spec)

    def get(self, name: str) -> Cluster:
        return _answer(self._row(name))

    def list_all(self) -> list[Cluster]:
        with self._database.session() as session:
            return [_answer(row) for row in repository.list_all(session)]

    def check(self, name: str) -> list[ClusterCheck]:
        """Look at everything that a cluster needs; each with what to do where it lacks. Takes as long as it takes."""
        row = self._row(name)
        found = self._connections.checks(row)
        return [one.answer() for one in (found if found is not None else [self._answers(name)])]

    def _answers(self, name: str) -> Check:
        try:
            capacity = self.capacity(name, fresh=True)
        except Unreachable as failure:
            return Check("reachable", False, str(failure), "Is it running, and the token right?")
        count = len(capacity.nodes)
        return Check("reachable", True, f"{count} {'node' if count == 1 else 'nodes'} responding.")

    def delete(self, name: str, force: bool = False) -> Cluster:
        """Remove a cluster, and delete what the service has created on it.

        With `force` the work there is given up. A cluster that does not answer then keeps its objects, and the
        answer's message says so. Raises NotFound; Conflict for the local cluster, and while work there has not ended.
        """
        if name == LOCAL_CLUSTER:
            raise Conflict("The local cluster belongs to this platform; `submarine down` stops it.")
        row = self._row(name)
        if force:
            for user in self._users:
                user.abandon(name)
            why_not = self._take_away(row)
            self._forget(name, by_user=not row.deleting)
            return _answer(row).model_copy(update={"message": removal.given_up(row, why_not)})
        if left := self._unfinished(name):
            raise Conflict(
                f"{left} experiments, notebooks or endpoints still need {name!r}, or are being cleaned up; stop or "
                "delete them, and try again in a moment. To give them up, and the cluster with them: "
                f"submarine cluster delete {name} --force (force=true)."
            )
        with self._database.session(write=True) as session:
            repository.change(session, name, {"deleting": True})
            if not row.deleting:
                bury(session, DeletedKind.CLUSTER, name)
        if (why_not := self._take_away(row)) is None:
            self._forget(name)
            return _answer(row)
        message = removal.awaited(name, why_not)
        self.note_outage(name, message)
        return _answer(row).model_copy(update={"deleting": True, "message": message})

    def _take_away(self, row: ClusterRow) -> str | None:
        """Delete what was made on a cluster; why not, if it does not let us."""
        try:
            self.driver(row.name).dispose()
        except (ClusterError, SecretLost, Conflict) as failure:
            return str(failure)
        return None

    def _forget(self, name: str, by_user: bool = False) -> None:
        with self._database.session(write=True) as session:
            repository.remove(session, name)
            if by_user:
                bury(session, DeletedKind.CLUSTER, name)
        self.let_go(name)

    def let_go(self, name: str) -> None:
        """Close what is open to a cluster that is forgotten."""
        self._connections.forget(name)

    def close_forgotten(self) -> None:
        """Close what is open to clusters that other services have forgotten."""
        for name in self._connections.names() - set(self.names()):
            self.let_go(name)

    @property
    def default(self) -> str:
        """Where runs what names no cluster."""
        return self._settings.default_cluster

    def add_listener(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Tell `listener` of experiments and notebooks whose cluster has reported a change."""
        self._listeners.append(listener)

    def _tell(self, ids: frozenset[str]) -> None:
        for listener in self._listeners:
            listener(ids)

    def add_user(self, user: ClusterUser) -> None:
        """Reckon with a feature's things when a cluster is deleted."""
        self._users.append(user)

    def has_neighbours(self, name: str) -> bool:
        """Whether more than one thing may be using the same nodes there."""
        return not self.capabilities(name).has_pods and self._unfinished(name) > 1

    def _unfinished(self, name: str) -> int:
        return sum(user.unfinished(name) for user in self._users)

    def seen(self, name: str) -> LastSeen:
        """A cluster that experiments may be sent to. Raises InvalidSpec."""
        return _last_seen(self._known(name))

    def all_seen(self) -> list[LastSeen]:
        """All clusters that are not being deleted."""
        with self._database.session() as session:
            return [_last_seen(row) for row in repository.list_all(session) if not row.deleting]

    def check_experiment(self, name: str, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> LastSeen:
        """The cluster that an experiment is sent to. Raises InvalidSpec if there is none, if its pods are not
        allowed or not possible there, or if it cannot install the packages.
        """
        row = self._known(name)
        kinds.of(row).check_experiment(row, spec, environment)
        there = _last_seen(row)
        if environment and environment.kernel_spec:
            _check_conda(there.name, there.capabilities, environment.kernel_spec)
        return there

    def _known(self, name: str) -> ClusterRow:
        row = self._find(name)
        if row is None or row.deleting:
            raise InvalidSpec(
                f"there is no cluster {name[:80]!r}; `submarine cluster list` shows those there are",
                "cluster",
            )
        return row

    def check_packages(self, name: str, kernel: KernelSpec) -> None:
        """Refuse conda packages where this service knows that there is no conda. Raises InvalidSpec, NotFound."""
        _check_conda(name, self.capabilities(name), kernel)

    def driver(self, name: str) -> Driver:
        """The cluster's driver. Raises Unreachable if it has none now."""
        return self._driver(name, self._find(name))

    def capacity(self, name: str, fresh: bool = False) -> Capacity:
        """What the cluster has, some seconds old; with `fresh`, or where nobody has noted it lately, the cluster itself
        is asked. Raises Unreachable.
        """
        row = self._find(name)
        noted = observed.capacity(row) if row and not fresh else None
        return noted or self._driver(name, row).capacity()

    def driver_and_capacity(self, name: str) -> tuple[Driver, Capacity]:
        """Both, from one read of the cluster's row. Raises Unreachable."""
        row = self._find(name)
        driver = self._driver(name, row)
        noted = observed.capacity(row) if row else None
        return driver, noted or driver.capacity()

    def _driver(self, name: str, row: ClusterRow | None) -> Driver:
        if row is None:
            raise Unreachable(f"the cluster {name!r} was deleted")
        return self._connections.driver(row)

    def is_held(self, row: ClusterRow) -> bool:
        """Whether this service may still write on a cluster whose row it has claimed."""
        with self._database.session() as session:
            return leases.is_held(session, row, due_ms())

    def note_outage(self, name: str, why: str) -> None:
        """Let users see what is wrong with a cluster."""
        with self._database.session(write=True) as session:
            repository.record(session, name, {"healthy": False, "message": why})

    def lock(self, session: Session, name: str) -> bool:
        """Decide alone about a cluster until the transaction ends; False if there is no such cluster.

        On SQLite the transaction itself is alone: it must have been begun to write.
        """
        return repository.lock(session, name)

    def names(self) -> list[str]:
        with self._database.session() as session:
            return repository.names(session)

    def capabilities(self, name: str) -> Capabilities:
        """What the cluster can do. Raises NotFound."""
        row = self._row(name)
        return kinds.of(row).capabilities(row)

    def close(self) -> None:
        self.waiting.close()
        self._connections.close()

    def _find(self, name: str) -> ClusterRow | None:
        with self._database.session() as session:
            return repository.find(session, name)

    def _row(self, name: str) -> ClusterRow:
        row = self._find(name)
        if row is None:
            raise NotFound(f"There is no cluster {name[:80]!r}.")
        return row


def _check_conda(name: str, there: Capabilities, kernel: KernelSpec) -> None:
    if kernel.conda_dependencies and there.is_here and shutil.which("conda") is None:
        raise InvalidSpec(
            f"cluster {name!r} has no conda; install it there, or list the packages as pipDependencies",
            "environment.kernelSpec.condaDependencies",
        )


def _last_seen(row: ClusterRow) -> LastSeen:
    registered = register.registered(row)
    return LastSeen(
        name=row.name,
        healthy=row.healthy,
        total=observed.total(row),
        largest_node=observed.node(row),
        labels=registered.labels if registered else {},
        gpu_type=registered.gpu_type if registered else None,
        capabilities=kinds.of(row).capabilities(row),
    )


def _answer(row: ClusterRow) -> Cluster:
    registered = register.registered(row)
    sizes = {"cpu": row.total_cpu, "memory": row.total_memory, "gpu": row.total_gpu}
    return Cluster.model_validate({
        "name": row.name,
        "kind": row.kind,
        "address": row.address,
        "serveUrl": row.serve_url,
        **dict.fromkeys(("mode", "namespace", "context", "allow", "trustExperiments")),
        **kinds.of(row).described(row),
        "labels": registered.labels if registered else {},
        "gpuType": registered.gpu_type if registered else None,
        "createdTime": iso(row.created_ms),
        "observedTime": iso(row.observed_ms),
        "deleting": row.deleting,
        "healthy": row.healthy,
        "message": row.message,
        "nodes": row.nodes,
        "resources": None
        if row.total_cpu is None
        else {key: value if value is None or value < UNBOUNDED else None for key, value in sizes.items()},
    })  # fmt: skip
