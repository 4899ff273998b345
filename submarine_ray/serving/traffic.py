"""The rules of traffic splitting: one URL a model, whose requests go to its served versions by weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from anyio import to_thread

from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import events
from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.serving import repository
from submarine_ray.serving.applications import weights_name, weights_of
from submarine_ray.serving.meter import Meter, reaching
from submarine_ray.serving.metrics import History, share_name
from submarine_ray.serving.service import endpoint_name
from submarine_ray.serving.tables import TrafficRow, split_name
from submarine_ray.spec.answers.serving import (
    EndpointRates,
    Traffic,
    TrafficMetrics,
    TrafficRates,
    TrafficShare,
    TrafficWithEvents,
)
from submarine_ray.spec.serving import TrafficSpec

Rates = Mapping[tuple[str, str], EndpointRates]  # by cluster and name
Statuses = Mapping[str, str]  # of endpoints, by their names


class TrafficService:
    """Sets, shows and ends the split of a model's requests."""

    def __init__(self, database: Database, clusters: ClusterService, meter: Meter, wake: Callable[[], None]) -> None:
        self._database = database
        self._clusters = clusters
        self._meter = meter
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
            row = repository.find_traffic(session, model_name) or TrafficRow(model_name=model_name, created_ms=now_ms())
            repository.set_traffic(session, row, clusters[0], spec.weights)
        self._wake()
        return Traffic(**self._answer(row))

    def get(self, model_name: str) -> TrafficWithEvents:
        """Raises NotFound."""
        row = self._find(model_name)
        with self._database.session() as session:
            happened = events.history(session, repository.subject(split_name(model_name)))
        return TrafficWithEvents(**self._answer(row), events=happened)

    def list_all(self) -> list[Traffic]:
        with self._database.session() as session:
            rows = repository.list_traffic(session)
        return [Traffic(**self._answer(row)) for row in rows]

    def delete(self, model_name: str) -> None:
        """Remove the model's common URL. Raises NotFound."""
        with self._database.session(write=True) as session:
            row = repository.find_traffic(session, model_name)
            if row is None:
                raise _not_shared(model_name)
            repository.end_traffic(session, row)
        self._wake()

    async def ask_metrics(self, model_name: str) -> TrafficMetrics:
        """What `metrics` answers, on a thread of those who wait for the cluster. Raises Busy, too."""
        cluster = (await to_thread.run_sync(self._find, model_name)).cluster
        return await self._clusters.waiting.ask(cluster, self.metrics, model_name)

    def metrics(self, model_name: str) -> TrafficMetrics:
        """Requests, errors and latency of the shared URL and of each version behind it, with the URL's history.

        Raises NotFound, ClusterUnavailable.
        """
        row = self._find(model_name)
        with reaching(row.cluster):
            whole = self._meter.of(row.cluster, split_name(model_name))
        return TrafficMetrics(**dict(whole), versions=_shares(row, self._meter.now(), self._statuses()))

    def all_rates(self) -> dict[str, TrafficRates]:
        """The last known rates of all shared URLs by their models, without histories. Waits for no cluster."""
        with self._database.session() as session:
            rows = repository.list_traffic(session)
        found, statuses = (self._meter.now(), self._statuses()) if rows else ({}, {})
        return {
            row.model_name: TrafficRates(
                **dict(found.get((row.cluster, split_name(row.model_name))) or History().now()),
                versions=_shares(row, found, statuses),
            )
            for row in rows
        }

    def _statuses(self) -> Statuses:
        with self._database.session() as session:
            return {row.name: row.status for row in repository.list_all(session)}

    def _find(self, model_name: str) -> TrafficRow:
        with self._database.session() as session:
            row = repository.find_traffic(session, model_name)
        if row is None:
            raise _not_shared(model_name)
        return row

    def _answer(self, row: TrafficRow) -> dict[str, object]:
        base = self._clusters.addresses.serve_url(row.cluster, split_name(row.model_name))
        return {
            "model_name": row.model_name,
            "weights": weights_of(row) or {},
            "invocations_url": f"{base}/{row.model_name}/invocations",
            "cluster": row.cluster,
            "status": row.status,
            "message": row.message,
            "created_time": iso(row.created_ms),
        }


def _shares(row: TrafficRow, rates: Rates, statuses: Statuses) -> list[TrafficShare]:
    """What each version got since the weights were set."""
    weights = weights_of(row) or {}
    application, name, wanted = split_name(row.model_name), weights_name(weights), sum(weights.values())
    found = {
        version: rates.get((row.cluster, share_name(application, version, name))) or History().now()
        for version in sorted(weights)
    }
    passed = sum(one.requests for one in found.values())
    return [
        TrafficShare(
            **dict(one),
            version=version,
            status=statuses.get(endpoint_name(row.model_name, version)),
            weight=weights[version],
            wanted=weights[version] / wanted,
            share=one.requests / passed if passed else None,
        )
        for version, one in found.items()
    ]


def _not_shared(model_name: str) -> NotFound:
    return NotFound(f"The requests of model {model_name[:80]!r} are not shared out.")
