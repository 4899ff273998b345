"""Remembers the last occurrence of a problem, to tell a new occurrence from the same one that lasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from submarine_ray.clusters.drivers.base import Job
from submarine_ray.experiments.decide import Desired
from submarine_ray.experiments.tables import ExperimentRow


class Marks:
    """The last occurrence of each experiment's problem. In memory: a service that starts anew misses one occurrence at
    most.
    """

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def onto(self, desired: Desired, row: ExperimentRow) -> Desired:
        """The desired state with the occurrence that was seen last."""
        return replace(desired, mark=self._seen.get(row.id))

    def note(self, rows: Iterable[ExperimentRow], jobs: Mapping[str, Job]) -> None:
        """Remember the problems of the rows' current attempts."""
        for row in rows:
            job = jobs.get(row.submission_id)
            if job is None or job.problem is None:
                self._seen.pop(row.id, None)
            else:
                self._seen[row.id] = job.problem.mark
