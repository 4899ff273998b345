"""Metrics that an attempt's replicas could not send: stored by the service, once they have ended, and told."""

from __future__ import annotations

from submarine_ray.clusters.drivers.base import Driver
from submarine_ray.core.errors import DatabaseUnavailable, TrackingUnavailable
from submarine_ray.core.events import Event
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.tracking import leftovers
from submarine_ray.tracking.service import TrackingService


def store(tracking: TrackingService, driver: Driver, row: ExperimentRow | AttemptRow, key: str) -> list[Event]:
    """Store the metrics that the attempt `key` left on a disk that the service sees. Raises TrackingUnavailable."""
    spools = driver.spools(row.id, key) if row.run_id else {}
    told = []
    try:
        found = leftovers.load(tracking, row.run_id or "", row.id, spools) if spools else ()
    except DatabaseUnavailable as failure:  # MLflow's: the row's own database may be well
        raise TrackingUnavailable("MLflow's database does not answer; try again in a moment.") from failure
    for left in found:
        if left.points:
            told.append(Event("MetricsLoaded", f"{left.points:,} points that {left.replica} had left are stored now."))
        if left.items:
            said = f"{left.items:,} images, tables or the like that {left.replica} had left are stored now."
            told.append(Event("MediaLoaded", said))
        if left.refused:
            more = f" There are {left.refused - 1:,} more of these." if left.refused > 1 else ""
            told.append(Event("NotStored", f"{left.replica} logged what was not stored: {left.first[:1000]}.{more}"))
    return told
