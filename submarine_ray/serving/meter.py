"""Collects the metrics of endpoints and of split traffic: once for all readers, and only while there are readers.

What was found is in the database: every control service shows the same history.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import orjson

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import ClusterUnavailable
from submarine_ray.serving import repository
from submarine_ray.serving.applications import weights_name, weights_of
from submarine_ray.serving.metrics import KEPT, Counts, History, counts, share_name
from submarine_ray.serving.tables import CountsRow, TrafficRow, split_name
from submarine_ray.spec.answers.serving import EndpointMetrics, EndpointRates

# Ray brings new numbers every ten seconds. They are shown within fifteen, so a cluster is asked more often than that,
# by pages that look every four seconds.
FRESH_MS = 3_500
APART_MS = 9_000  # between two samples that are kept
KEPT_MS = KEPT * 10_000
LAST = 5  # samples, which are more than half a minute


class Meter:
    """The metrics of all endpoints, and of all shared URLs."""

    def __init__(self, database: Database, clusters: ClusterService) -> None:
        self._database = database
        self._clusters = clusters
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    def of(self, cluster: str, name: str) -> EndpointMetrics:
        """Metrics of an endpoint, or of a split's application, with their history; a few seconds old at most.

        Raises Unreachable.
        """
        self.look(cluster)
        with self._database.session() as session:
            known = repository.are_metrics_known(session, cluster)
            rows = repository.counts_of(session, cluster, name, KEPT)
        return History(map(_counts, rows)).metrics(known)

    def now(self) -> dict[tuple[str, str], EndpointRates]:
        """The last known metrics of the last half minute, by cluster and name."""
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
                splits = repository.list_traffic(session, cluster)
                names = {row.name for row in repository.on_cluster(session, cluster)}
            names |= {name for row in splits for name in _names(row)}
            texts = self._clusters.driver(cluster).serve_metrics([split_name(row.model_name) for row in splits])
            found = counts(texts, now / 1000) if texts else {}
            with self._database.session(write=True) as session:
                # So that the first requests have a rate as well.
                new = repository.uncounted(session, cluster, names - found.keys()) if texts else set()
                found |= {name: Counts(now / 1000) for name in new}
                rows = [_row(cluster, name, found[name]) for name in sorted(names & found.keys())]
                repository.keep_counts(session, cluster, rows, bool(texts), now - KEPT_MS)
                repository.thin_counts(session, cluster, APART_MS)


@contextlib.contextmanager
def reaching(cluster: str) -> Iterator[None]:
    """Tell users of a cluster that does not answer."""
    try:
        yield
    except Unreachable as failure:
        raise ClusterUnavailable(f"Cluster {cluster!r} does not answer: {failure}") from failure


def _names(row: TrafficRow) -> list[str]:
    """What a split's requests are counted under: all of them, and each version's."""
    weights = weights_of(row) or {}
    application = split_name(row.model_name)
    return [application, *(share_name(application, version, weights_name(weights)) for version in weights)]


def _row(cluster: str, name: str, found: Counts) -> CountsRow:
    buckets = orjson.dumps([[str(bound), number] for bound, number in found.buckets.items()]).decode()
    return CountsRow(cluster=cluster, name=name, at_ms=int(found.at * 1000), errors=found.errors, buckets=buckets)


def _counts(row: CountsRow) -> Counts:
    buckets = {float(bound): number for bound, number in orjson.loads(row.buckets)}
    return Counts(row.at_ms / 1000, buckets, row.errors)
