"""The rules of endpoints: which model is served where. The engine carries them out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import TypeVar

from anyio import to_thread

from submarine_ray.access.reach import Served
from submarine_ray.access.tombstones import bury
from submarine_ray.admission.decide import Demand
from submarine_ray.admission.explain import Holder
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import UnknownJob, Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import events
from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Busy, Conflict, InvalidSpec, NotFound
from submarine_ray.models.service import ModelService
from submarine_ray.serving import applications, repository
from submarine_ray.serving.applications import route
from submarine_ray.serving.meter import Meter, reaching
from submarine_ray.serving.metrics import History
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.answers.serving import Endpoint, EndpointMetrics, EndpointRates, EndpointWithEvents, Replica
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.quantities import Resources, parse_resources, resources_text
from submarine_ray.spec.serving import EndpointPatch, EndpointStatus, ServeSpec

Answer = TypeVar("Answer")

DEFAULT_CPU = 0.25
# On one machine CPUs are bookkeeping, and an endpoint mostly waits: it must not keep experiments from starting.
DEFAULT_CPU_LOCAL = 0.0


class ServingService:
    """Creates, scales, watches and deletes endpoints."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        admission: Admission,
        models: ModelService,
        meter: Meter,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._admission = admission
        self._models = models
        self._wake = wake
        self._meter = meter
        clusters.add_user(self)
        admission.add_claimant(self)

    def create(self, spec: ServeSpec) -> Endpoint:
        """Ask for an endpoint; asking again for the same is no error.

        Raises NotFound for an unknown version, InvalidSpec for a replica that no node of the cluster can ever hold.
        """
        cluster = spec.cluster or self._clusters.default
        if cluster not in self._clusters.names():
            raise InvalidSpec(f"there is no cluster {cluster[:80]!r}", "cluster")
        version = self._version(spec)
        uri, path = self._models.location(spec.model_name, version)
        each = self._size(cluster, spec.resources)
        row = EndpointRow(
            name=endpoint_name(spec.model_name, version),
            model_name=spec.model_name,
            model_version=version,
            model_uri=path if self._clusters.capabilities(cluster).is_here else uri,
            cluster=cluster,
            replicas=spec.replicas,
            cpu=each.cpu,
            memory=each.memory,
            gpu=each.gpu,
            status=EndpointStatus.CREATING,
            created_ms=now_ms(),
            changed_ms=now_ms(),
        )
        self._begin(cluster)
        with self._database.session(write=True) as session:
            present = repository.find(session, row.name)
            if present is None:
                repository.add(session, row)
            elif present.cluster != cluster:
                raise AlreadyExists(f"{row.name} is served on cluster {present.cluster!r}; delete it there first.")
            else:
                repository.change(session, present, row.replicas, each)
                row = present
        self._models.set_stage(spec.model_name, version, "Production")
        self._wake()
        return self._answer(row)

    def delete(self, spec: ServeSpec) -> None:
        """Raises NotFound; Conflict while it takes a share of its model's traffic."""
        version = self._version(spec)
        name = endpoint_name(spec.model_name, version)
        with self._database.session(write=True) as session:
            row = repository.living(session, name)
            if row is None:
                raise _not_served(spec.model_name, version)
            traffic = repository.find_traffic(session, spec.model_name)
            if traffic and version in (applications.weights_of(traffic) or {}):
                raise Conflict(f"{name} takes a share of {spec.model_name}'s traffic; change the weights first.")
            repository.set_deleting(session, row)
            bury(session, DeletedKind.ENDPOINT, name)
        with contextlib.suppress(NotFound):  # the model may have been deleted before its endpoint
            self._models.set_stage(spec.model_name, version, "None")
        self._wake()

    def served(self, model_name: str) -> dict[int, str]:
        """A text that names the endpoints of a model and their clusters; without those that are being deleted."""
        with self._database.session() as session:
            rows = repository.of_model(session, model_name)
        return {row.model_version: f"{row.name!r} on cluster {row.cluster!r}" for row in rows}

    def served_by(self, name: str) -> Served | None:
        """The version that an endpoint answers for; None for one that is being deleted, or is not there."""
        with self._database.session() as session:
            row = repository.living(session, name)
        return Served(row.model_name, row.model_version) if row else None

    def get(self, model_name: str, model_version: int) -> EndpointWithEvents:
        row = self._find(model_name, model_version)
        with self._database.session() as session:
            history = events.history(session, repository.subject(row.name))
        return EndpointWithEvents(**dict(self._answer(row)), events=history)

    def scale(self, model_name: str, model_version: int, patch: EndpointPatch) -> Endpoint:
        """Change the number or the size of an endpoint's replicas, without a gap. Raises NotFound, InvalidSpec."""
        cluster = self._find(model_name, model_version).cluster
        each = None if patch.resources is None else self._size(cluster, patch.resources)
        with self._database.session(write=True) as session:
            row = repository.living(session, endpoint_name(model_name, model_version))
            if row is None:
                raise _not_served(model_name, model_version)
            wanted = patch.replicas or row.replicas, each or row.each
            if wanted != (row.replicas, row.each):
                repository.change(session, row, *wanted)
        self._wake()
        return self._answer(row)

    async def ask(self, question: Callable[..., Answer], model_name: str, model_version: int, *more: object) -> Answer:
        """What one of this service's questions that ask the cluster answers: `metrics`, `replicas`, `replica_log`. On
        threads of those who wait for that cluster. Raises what the question raises, and Busy.
        """
        cluster = (await to_thread.run_sync(self._find, model_name, model_version)).cluster
        return await self._clusters.waiting.ask(cluster, question, model_name, model_version, *more)

    def metrics(self, model_name: str, model_version: int) -> EndpointMetrics:
        """Requests, errors and latency, with their history.

        Raises NotFound, ClusterUnavailable.
        """
        row = self._find(model_name, model_version)
        with reaching(row.cluster):
            return self._meter.of(row.cluster, row.name)

    def all_rates(self) -> dict[str, EndpointRates]:
        """The last known rates of all endpoints by their names, without their histories. Waits for no cluster."""
        with self._database.session() as session:
            rows = repository.list_all(session)
        found = self._meter.now()
        return {row.name: found.get((row.cluster, row.name)) or History().now() for row in rows}

    async def refresh_metrics(self) -> None:
        """Bring the metrics of all endpoints up to date; those of a cluster that does not answer stay as they are."""
        clusters = await to_thread.run_sync(self._serving_clusters)
        asked = [self._clusters.waiting.ask(cluster, self._meter.look, cluster) for cluster in clusters]
        for failure in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(failure, BaseException) and not isinstance(failure, Unreachable | Busy):
                raise failure

    def _serving_clusters(self) -> set[str]:
        with self._database.session() as session:
            return {row.cluster for row in repository.list_all(session)}

    def replicas(self, model_name: str, model_version: int) -> list[Replica]:
        """The processes that answer, as Ray Serve knows them now. Raises NotFound, ClusterUnavailable."""
        row = self._find(model_name, model_version)
        with reaching(row.cluster):
            found = self._clusters.driver(row.cluster).replicas(row.name)
        return [
            Replica(
                replica_id=one["replica_id"],
                state=one["state"],
                node=one.get("node_ip"),  # not before it has one
                pid=one.get("pid"),
                started_time=iso(int(begun * 1000)) if (begun := one.get("start_time_s")) else None,
            )
            for one in found
        ]

    def replica_log(self, model_name: str, model_version: int, replica_id: str, lines: int) -> str:
        """The last lines of a replica's log. Raises NotFound, ClusterUnavailable."""
        row = self._find(model_name, model_version)
        try:
            with reaching(row.cluster):
                return self._clusters.driver(row.cluster).replica_log(row.name, replica_id, lines)
        except UnknownJob as failure:
            raise NotFound(f"Endpoint {row.name} has no replica {replica_id[:80]!r} now.") from failure

    def list_all(self) -> list[Endpoint]:
        with self._database.session() as session:
            rows = repository.list_all(session)
        return [self._answer(row) for row in rows]

    def holders(self, cluster: str) -> list[Holder]:
        """See admission.Claimant."""
        with self._database.session() as session:
            rows = repository.on_cluster(session, cluster)
            found = [applications.split_of(row, rows) for row in repository.list_traffic(session, cluster)]
        return [
            *(Holder(holder(row), row.each.times(row.replicas)) for row in rows),
            *(Holder(f"traffic of model {split.model_name}", split.demand) for split in found if split),
        ]

    def waiting(self, cluster: str, within: Resources, limit: int) -> list[Demand]:
        """None waits in line: Ray Serve finds room for replicas. See admission.Claimant."""
        return []

    def still_waiting(self, ids: Collection[str]) -> list[Demand]:
        """See admission.Claimant."""
        return []

    def unfinished(self, cluster: str) -> int:
        """See ClusterUser."""
        with self._database.session() as session:
            return len(repository.on_cluster(session, cluster))

    def abandon(self, cluster: str) -> None:
        """See ClusterUser."""
        with self._database.session(write=True) as session:
            repository.abandon(session, cluster)

    def _begin(self, cluster: str) -> None:
        with self._database.session() as session:
            if repository.is_begun(session, cluster):
                return
        with contextlib.suppress(AlreadyExists), self._database.session(write=True) as session:
            repository.begin(session, cluster)

    def _find(self, model_name: str, model_version: int) -> EndpointRow:
        with self._database.session() as session:
            row = repository.find(session, endpoint_name(model_name, model_version))
        if row is None:
            raise _not_served(model_name, model_version)
        return row

    def _version(self, spec: ServeSpec) -> int:
        """The version that is named, or that an alias names now. Raises NotFound."""
        if spec.model_version is not None:
            return spec.model_version
        return self._models.aliases.version(spec.model_name, spec.model_alias or "")

    def _size(self, cluster: str, text: str | None) -> Resources:
        """What a replica gets that asks for `text`. Raises InvalidSpec, also where no node can ever hold it."""
        try:
            asked = parse_resources(text or "")
        except ValueError as failure:
            raise InvalidSpec(str(failure), "resources") from failure
        cpu = asked.cpu or (DEFAULT_CPU_LOCAL if self._clusters.capabilities(cluster).is_here else DEFAULT_CPU)
        each = Resources(cpu, asked.memory, asked.gpu)
        self._admission.placements.check_one(cluster, each, "resources")
        return each

    def _answer(self, row: EndpointRow) -> Endpoint:
        base = self._clusters.addresses.serve_url(row.cluster, row.name) + route(row.model_name, row.model_version)
        return Endpoint(
            url=f"{base}/v2/models/{row.model_name}/infer",
            invocations_url=f"{base}/invocations",
            name=row.name,
            model_name=row.model_name,
            model_version=row.model_version,
            cluster=row.cluster,
            replicas=row.replicas,
            resources=resources_text(row.each) or None,
            status=row.status,
            message=row.message,
            created_time=iso(row.created_ms),
        )


def endpoint_name(model_name: str, model_version: int) -> str:
    return f"{model_name}-{model_version}"


def holder(row: EndpointRow) -> str:
    """An endpoint's name in messages to users who wait for its resources."""
    return f"endpoint {row.model_name} {row.model_version}"


def _not_served(model_name: str, model_version: int) -> NotFound:
    return NotFound(f"Version {model_version} of model {model_name!r} is not served.")
