"""Keeps an attempt's log with its MLflow run: from the cluster to a file for each replica to the store, in pieces."""

from __future__ import annotations

from pathlib import Path

from submarine_ray.clusters.drivers.base import LOG_SECONDS, Driver, UnknownJob, Unreachable
from submarine_ray.core.events import Event
from submarine_ray.experiments.answers import replica_names
from submarine_ray.experiments.losses import losses
from submarine_ray.experiments.split import Split
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec import passing
from submarine_ray.tracking.service import TrackingService

LOST = b"The log was lost with the node that had it."
PATIENCE_SECONDS = 3.0  # where the node is gone


def store(
    spools: Spools,
    tracking: TrackingService,
    driver: Driver,
    row: ExperimentRow | AttemptRow,
    key: str,
    path: str,
    node_is_gone: bool,
) -> list[Event]:
    """Store the log of the attempt `key` below `path`; the events about records that are missing in it.

    Raises Unreachable.
    """
    names, run = replica_names(row), row.run_id or ""

    def put(directory: Path) -> list[Event]:
        tracking.put_directory(run, directory, path)
        return losses(sorted(directory.glob("*.log")))

    try:
        with spools.whole(driver, key, names, PATIENCE_SECONDS if node_is_gone else LOG_SECONDS) as directory:
            return put(directory)
    except UnknownJob:
        said = b""
    except Unreachable:
        if not node_is_gone:
            raise
        said = LOST  # waiting would not bring it back
    with passing.passing("log") as directory:
        split = Split(directory, names)
        split.add(said)
        split.end()
        return put(split.directory)
