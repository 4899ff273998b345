"""The upkeep of clusters, as steps of the engine: users see their health, impossible demands are refused at once, what
the service keeps there is mended, and what was left behind taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from submarine_ray.clusters import observed, repository
from submarine_ray.clusters.drivers.base import ClusterError, Fence, Superseded
from submarine_ray.clusters.removal import awaited
from submarine_ray.clusters.service import ClusterService
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import DatabaseUnavailable, SubmarineError

log = structlog.get_logger(__name__)

PAUSE_MS = 5_000


@dataclass(frozen=True)
class Look:
    """Mend what is ours there, and note what the cluster has."""


@dataclass(frozen=True)
class Dispose:
    """Take away what was made there, then forget the cluster."""


class Upkeep:
    """Clusters as a feature of the engine: each is looked at by one control service at a time, for all of them."""

    name = "clusters"
    table = ClusterRow
    expected: tuple[type[Exception], ...] = (ClusterError, SubmarineError)
    write = staticmethod(repository.write)

    def __init__(self, clusters: ClusterService) -> None:
        self._clusters = clusters

    def ready(self) -> None:
        """Let go of clusters that another service has forgotten."""
        self._clusters.close_forgotten()

    def observe(self, cluster: str, rows: Sequence[ClusterRow]) -> None:
        """Nothing: the look is the step, because one that finds nobody there is to be written too."""

    def decide(self, row: ClusterRow, observed: None) -> Look | Dispose:
        return Dispose() if row.deleting else Look()

    def is_note(self, step: Look | Dispose) -> bool:
        return False

    def perform(self, row: ClusterRow, step: Look | Dispose, observed_there: None) -> Outcome:
        try:
            driver = self._clusters.driver(row.name)
            if isinstance(step, Dispose):
                driver.dispose()
                return Outcome(remove=True)
            driver.maintain(Fence(row.generation, is_held=partial(self._clusters.is_held, row)))
            return _seen(observed.columns(driver.capacity()))
        except DatabaseUnavailable:
            raise
        except Superseded as failure:
            log.warning("cluster.superseded", cluster=row.name, why=str(failure))
            # Nothing is known of the cluster by it. A number that this database has not counted is outdone.
            outdone = {} if failure.number is None else {"generation": failure.number + 1}
            return Outcome({"healthy": row.healthy, "message": row.message, "next_check_ms": due_ms(), **outdone})
        except (ClusterError, SubmarineError) as failure:
            return _away(row, str(failure))

    def failed(self, row: ClusterRow, step: Look | Dispose | None, failure: Exception) -> Outcome | None:
        return _away(row, f"an internal error ({type(failure).__name__}); the service's log has it")

    def written(self, row: ClusterRow, outcome: Outcome) -> None:
        if outcome.remove:
            self._clusters.let_go(row.name)
            log.info("cluster.forgotten", cluster=row.name)
        elif (healthy := outcome.values["healthy"]) != row.healthy:
            why = outcome.values["message"] or ""
            (log.info if healthy else log.warning)("cluster.health", cluster=row.name, healthy=healthy, why=why)


def _away(row: ClusterRow, why: str) -> Outcome:
    """What is not named stays as last seen."""
    return _seen({"healthy": False, "message": awaited(row.name, why) if row.deleting else why})


def _seen(values: observed.Columns) -> Outcome:
    return Outcome({**values, "observed_ms": now_ms(), "next_check_ms": due_ms() + PAUSE_MS})
