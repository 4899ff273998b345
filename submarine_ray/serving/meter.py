"""Collects the metrics of endpoints from clusters: once for all readers, and only while there are readers.

What was found is in the database: every control service shows the same history.
"""

from __future__ import annotations

import threading

import orjson

from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.serving import repository
from submarine_ray.serving.metrics import KEPT, Counts, History, counts
from submarine_ray.serving.tables import CountsRow
from submarine_ray.spec.answers.serving import EndpointMetrics, EndpointRates

FRESH_MS = 9_000  # Ray brings new numbers every ten seconds
KEPT_MS = KEPT * 10_000
LAST = 5  # looks, which are more than half a minute


class Meter:
    """The metrics of all endpoints."""

    def __init__(self, database: Database, clusters: ClusterService) -> None:
        self._database = database
        self._clusters = clusters
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    def of(self, cluster: str, endpoint: str) -> EndpointMetrics:
        """Metrics of an endpoint with their history, not older than ten seconds. Raises Unreachable."""
        self.look(cluster)
        with self._database.session() as session:
            known = repository.are_metrics_known(session, cluster)
            rows = repository.counts_of(session, cluster, endpoint, KEPT)
        return History(map(_counts, rows)).metrics(known)

    def now(self) -> dict[tuple[str, str], EndpointRates]:
        """The last known metrics of the last half minute, by cluster and endpoint."""
        with self._database.session() as session:
            rows = repository.last_counts(session, LAST)
        found: dict[tuple[str, str], History] = {}
        for row in rows:
            found.setdefault((row.cluster, row.name), History()).add(_counts(row))
        return {key: history.now() for key, history in found.items()}

    def look(self, cluster: str) -> None:
        """Ask the cluster, unless it was asked a moment ago. Raises Unreachable."""
        with self._lock:
            asking = self._asking.setdefault(cluster, threading.Lock())
        with asking:
            now = due_ms()
            with self._database.session(write=True) as session:
                # A cluster that does not answer is asked no more often either.
                if not repository.may_look(session, cluster, now, FRESH_MS):
                    return
            texts = self._clusters.driver(cluster).serve_metrics()
            found = [_row(cluster, name, one) for name, one in counts(texts, now / 1000).items()]
            with self._database.session(write=True) as session:
                repository.keep_counts(session, cluster, found, bool(texts), now - KEPT_MS)


def _row(cluster: str, name: str, found: Counts) -> CountsRow:
    buckets = orjson.dumps([[str(bound), number] for bound, number in found.buckets.items()]).decode()
    return CountsRow(cluster=cluster, name=name, at_ms=int(found.at * 1000), errors=found.errors, buckets=buckets)


def _counts(row: CountsRow) -> Counts:
    buckets = {float(bound): number for bound, number in orjson.loads(row.buckets)}
    return Counts(row.at_ms / 1000, buckets, row.errors)
