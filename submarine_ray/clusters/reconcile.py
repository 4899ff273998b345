"""Looks at every cluster now and then, so that users see its health and impossible demands are refused at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import structlog

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.errors import SubmarineError

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 5.0


class ClusterReconciler:
    """One tick asks each cluster for its capacity, all at once: a slow one delays nobody."""

    def __init__(self, clusters: ClusterService) -> None:
        self._clusters = clusters
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="cluster-probe")
        self._was_healthy: dict[str, bool] = {}

    def tick(self) -> float:
        list(self._pool.map(self._probe, self._clusters.names()))
        return PAUSE_SECONDS

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _probe(self, name: str) -> None:
        try:
            self._clusters.capacity(name)
            self._note(name, True, "")
        except (Unreachable, SubmarineError) as failure:
            self._note(name, False, str(failure))

    def _note(self, name: str, healthy: bool, why: str) -> None:
        if self._was_healthy.get(name) != healthy:
            self._was_healthy[name] = healthy
            (log.info if healthy else log.warning)("cluster.health", cluster=name, healthy=healthy, why=why)
