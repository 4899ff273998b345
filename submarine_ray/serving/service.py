"""The rules of endpoints: which model is served where. The reconciler makes it so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import events
from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, InvalidSpec, NotFound
from submarine_ray.models.service import ModelService
from submarine_ray.serving import repository
from submarine_ray.serving.decide import route
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.quantities import Resources, parse_resources
from submarine_ray.spec.serving import EndpointStatus, ServeSpec

DEFAULT_CPU = 0.25
# On one machine CPUs are bookkeeping, and an endpoint mostly waits: it must not keep experiments from starting.
DEFAULT_CPU_LOCAL = 0.0


class ServingService:
    """Creates, lists and deletes endpoints."""

    def __init__(
        self, database: Database, clusters: ClusterService, models: ModelService, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._models = models
        self._wake = wake
        clusters.add_user(self)

    def create(self, spec: ServeSpec) -> dict[str, Any]:
        """Ask for an endpoint; asking again for the same is no error. Raises NotFound for an unknown version."""
        cluster = spec.cluster or self._clusters.default
        if cluster not in self._clusters.names():
            raise InvalidSpec(f"there is no cluster {cluster[:80]!r}", "cluster")
        asked = _resources(spec.resources)
        uri, path = self._models.location(spec.model_name, spec.model_version)
        is_local = self._clusters.is_local(cluster)
        row = EndpointRow(
            name=endpoint_name(spec.model_name, spec.model_version),
            model_name=spec.model_name,
            model_version=spec.model_version,
            model_uri=path if is_local else uri,
            cluster=cluster,
            replicas=spec.replicas,
            cpu=asked.cpu or (DEFAULT_CPU_LOCAL if is_local else DEFAULT_CPU),
            gpu=asked.gpu,
            status=EndpointStatus.CREATING,
            created_ms=now_ms(),
            changed_ms=now_ms(),
        )
        with self._database.session(write=True) as session:
            repository.ensure_cluster(session, cluster)
            present = repository.find(session, row.name)
            if present is None:
                repository.add(session, row)
            elif present.cluster != cluster:
                raise AlreadyExists(f"{row.name} is served on cluster {present.cluster!r}; delete it there first.")
            else:
                present.replicas, present.cpu, present.gpu = row.replicas, row.cpu, row.gpu
                if present.status in (EndpointStatus.DELETING, EndpointStatus.FAILED):
                    present.status, present.message = EndpointStatus.CREATING, None
                row = present
        self._models.set_stage(spec.model_name, spec.model_version, "Production")
        self._wake()
        return self._answer(row)

    def delete(self, spec: ServeSpec) -> None:
        """Raises NotFound."""
        name = endpoint_name(spec.model_name, spec.model_version)
        with self._database.session(write=True) as session:
            row = repository.find(session, name)
            if row is None or row.status == EndpointStatus.DELETING:
                raise NotFound(f"Version {spec.model_version} of model {spec.model_name!r} is not served.")
            repository.set_deleting(session, name)
        with contextlib.suppress(NotFound):  # the model may have been deleted before its endpoint
            self._models.set_stage(spec.model_name, spec.model_version, "None")
        self._wake()

    def get(self, model_name: str, model_version: int) -> dict[str, Any]:
        name = endpoint_name(model_name, model_version)
        with self._database.session() as session:
            row = repository.find(session, name)
            if row is None:
                raise NotFound(f"Version {model_version} of model {model_name!r} is not served.")
            history = events.history(session, repository.subject(name))
        return self._answer(row) | {"events": history}

    def list_all(self) -> list[dict[str, Any]]:
        with self._database.session() as session:
            rows = repository.list_all(session)
        return [self._answer(row) for row in rows]

    def in_use(self, cluster: str) -> Resources:
        """See ClusterUser."""
        with self._database.session() as session:
            rows = repository.on_cluster(session, cluster)
        return sum((Resources(row.cpu, 0, row.gpu).times(row.replicas) for row in rows), Resources())

    def unfinished(self, cluster: str) -> int:
        """See ClusterUser."""
        with self._database.session() as session:
            return len(repository.on_cluster(session, cluster))

    def abandon(self, cluster: str) -> None:
        """See ClusterUser."""
        with self._database.session(write=True) as session:
            repository.abandon(session, cluster)

    def _answer(self, row: EndpointRow) -> dict[str, Any]:
        base = self._clusters.serve_url(row.cluster, row.name) + route(row.model_name, row.model_version)
        return {
            "url": f"{base}/v2/models/{row.model_name}/infer",
            "invocationsUrl": f"{base}/invocations",
            "name": row.name,
            "modelName": row.model_name,
            "modelVersion": row.model_version,
            "cluster": row.cluster,
            "replicas": row.replicas,
            "status": row.status,
            "message": row.message,
            "createdTime": iso(row.created_ms),
        }


def endpoint_name(model_name: str, model_version: int) -> str:
    return f"{model_name}-{model_version}"


def _resources(text: str | None) -> Resources:
    try:
        return parse_resources(text or "")
    except ValueError as failure:
        raise InvalidSpec(str(failure), "resources") from failure
