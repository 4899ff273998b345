"""Asks clusters for what their endpoints have to do: once for all who look, and only while somebody does."""

from __future__ import annotations

import math
import threading
import time

from submarine_ray.clusters.service import ClusterService
from submarine_ray.serving.figures import Course, counts
from submarine_ray.spec.answers.serving import EndpointFigures, EndpointRates

FRESH_SECONDS = 9.0  # Ray brings new numbers every ten


class Meter:
    """The figures of all endpoints; forgotten with the process, as Prometheus is where they are kept."""

    def __init__(self, clusters: ClusterService) -> None:
        self._clusters = clusters
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._asked: dict[str, float] = {}
        self._known: dict[str, bool] = {}
        self._courses: dict[tuple[str, str], Course] = {}

    def of(self, cluster: str, endpoint: str) -> EndpointFigures:
        """Figures of an endpoint with their course, not older than ten seconds. Raises Unreachable."""
        self.look(cluster)
        return self._course(cluster, endpoint).figures(self._known.get(cluster, False))

    def now(self, cluster: str, endpoint: str) -> EndpointRates:
        """Those of the last half minute, as they were last seen."""
        return self._course(cluster, endpoint).now()

    def _course(self, cluster: str, endpoint: str) -> Course:
        return self._courses.get((cluster, endpoint)) or Course()

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
                self._courses.setdefault((cluster, endpoint), Course()).add(found)
