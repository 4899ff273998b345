"""The rules of traffic splitting: one URL a model, whose requests go to its served versions by weight."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.serving import repository
from submarine_ray.serving.applications import split_name, weights_of
from submarine_ray.serving.service import endpoint_name
from submarine_ray.serving.tables import TrafficRow
from submarine_ray.spec.answers.serving import Traffic
from submarine_ray.spec.serving import EndpointStatus, TrafficSpec


class TrafficService:
    """Sets, shows and ends the split of a model's requests."""

    def __init__(self, database: Database, clusters: ClusterService, wake: Callable[[], None]) -> None:
        self._database = database
        self._clusters = clusters
        self._wake = wake

    def put(self, model_name: str, spec: TrafficSpec) -> Traffic:
        """Split a model's requests by weight; existing weights are replaced, without a gap.

        Raises InvalidSpec for a version that is not served, versions on several clusters, and clusters on Kubernetes,
        where each endpoint has a Ray cluster of its own.
        """
        with self._database.session(write=True) as session:
            names = {version: endpoint_name(model_name, version) for version in spec.weights}
            served = {version: repository.living(session, name) for version, name in names.items()}
            if missing := [version for version, endpoint in served.items() if endpoint is None]:
                raise InvalidSpec(f"version {missing[0]} of model {model_name[:80]!r} is not served", "weights")
            clusters = sorted({endpoint.cluster for endpoint in served.values() if endpoint})
            if len(clusters) > 1:
                raise InvalidSpec(f"its versions are on several clusters: {', '.join(clusters)}", "weights")
            if not self._clusters.capabilities(clusters[0]).shares_serve:
                raise InvalidSpec(
                    "on Kubernetes each endpoint has a Ray cluster of its own; weigh its Services in your gateway",
                    "weights",
                )
            row = repository.find_traffic(session, model_name)
            for cluster in sorted({clusters[0], row.cluster if row else clusters[0]}):
                repository.desire(session, cluster)
            if row is None:
                row = TrafficRow(model_name=model_name, created_ms=now_ms())
                session.add(row)
            row.cluster, row.status, row.message = clusters[0], EndpointStatus.CREATING, None
            row.weights = orjson.dumps({str(version): weight for version, weight in spec.weights.items()}).decode()
            row.changed_ms = now_ms()
        self._wake()
        return self._answer(row)

    def get(self, model_name: str) -> Traffic:
        """Raises NotFound."""
        with self._database.session() as session:
            row = repository.find_traffic(session, model_name)
        if row is None:
            raise _not_shared(model_name)
        return self._answer(row)

    def list_all(self) -> list[Traffic]:
        with self._database.session() as session:
            return [self._answer(row) for row in repository.list_traffic(session)]

    def delete(self, model_name: str) -> None:
        """Remove the model's common URL. Raises NotFound."""
        with self._database.session(write=True) as session:
            row = repository.find_traffic(session, model_name)
            if row is None:
                raise _not_shared(model_name)
            repository.desire(session, row.cluster)
            session.delete(row)
        self._wake()

    def _answer(self, row: TrafficRow) -> Traffic:
        base = self._clusters.addresses.serve_url(row.cluster, split_name(row.model_name))
        return Traffic(
            model_name=row.model_name,
            weights=weights_of(row) or {},
            invocations_url=f"{base}/{row.model_name}/invocations",
            cluster=row.cluster,
            status=row.status,
            message=row.message,
        )


def _not_shared(model_name: str) -> NotFound:
    return NotFound(f"The requests of model {model_name[:80]!r} are not shared out.")
