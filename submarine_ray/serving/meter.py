"""Asks clusters for the metrics of their endpoints: once for all who look, and only while somebody does."""

from __future__ import annotations

import math
import threading
import time

from submarine_ray.clusters.service import ClusterService
from submarine_ray.serving.metrics import History, counts
from submarine_ray.spec.answers.serving import EndpointMetrics, EndpointRates

FRESH_SECONDS = 9.0  # Ray brings new numbers every ten


class Meter:
    """The metrics of all endpoints; forgotten with the process, as Prometheus is where they are kept."""

    def __init__(self, clusters: ClusterService) -> None:
        self._clusters = clusters
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._asked: dict[str, float] = {}
        self._known: dict[str, bool] = {}
        self._histories: dict[tuple[str, str], History] = {}

    def of(self, cluster: str, endpoint: str) -> EndpointMetrics:
        """Metrics of an endpoint with their history, not older than ten seconds. Raises Unreachable."""
        self.look(cluster)
        return self._history(cluster, endpoint).metrics(self._known.get(cluster, False))

    def now(self, cluster: str, endpoint: str) -> EndpointRates:
        """Those of the last half minute, as they were last seen."""
        return self._history(cluster, endpoint).now()

    def _history(self, cluster: str, endpoint: str) -> History:
        return self._histories.get((cluster, endpoint)) or History()

    def look(self, cluster: str) -> None:
        """Ask the cluster, unless it was asked a moment ago. Raises Unreachable."""
        with self._lock:
            asking = self._asking.setdefault(cluster, threading.Lock())
        with asking:
            now = time.monotonic()
            if now - self._asked.get(cluster, -math.inf) < FRESH_SECONDS:
                return
            self._asked[cluster] = now  # a cluster that does not answer is asked no more often either
            texts = self._clusters.driver(cluster).serve_metrics()
            self._known[cluster] = bool(texts)
            for endpoint, found in counts(texts, time.time()).items():
                self._histories.setdefault((cluster, endpoint), History()).add(found)
