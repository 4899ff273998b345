"""Looks at every cluster now and then: users see its health, impossible demands are refused at once, what the service
keeps there is mended, and what was left behind taken away.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import structlog

from submarine_ray.clusters.drivers.base import ClusterError
from submarine_ray.clusters.removal import awaited
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
        deleted = self._clusters.deleted()
        list(self._pool.map(self._probe, [name for name in self._clusters.names() if name not in deleted]))
        list(self._pool.map(self._dispose, deleted))
        return PAUSE_SECONDS

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _probe(self, name: str) -> None:
        try:
            self._clusters.driver(name).maintain()
            self._clusters.note_health(name)
            self._note(name, True, "")
        except (ClusterError, SubmarineError) as failure:
            self._clusters.note_outage(name, str(failure))
            self._note(name, False, str(failure))

    def _dispose(self, name: str) -> None:
        try:
            self._clusters.dispose(name)
            log.info("cluster.forgotten", cluster=name)
        except (ClusterError, SubmarineError) as failure:
            self._clusters.note_outage(name, awaited(name, str(failure)))
            self._note(name, False, str(failure))

    def _note(self, name: str, healthy: bool, why: str) -> None:
        if self._was_healthy.get(name) != healthy:
            self._was_healthy[name] = healthy
            (log.info if healthy else log.warning)("cluster.health", cluster=name, healthy=healthy, why=why)
