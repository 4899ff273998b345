"""Which charts of an experiment's metrics a user wants to see, and in which order: kept by the service."""

from __future__ import annotations

import asyncio
import threading

from submarine_ray.saved.kinds import METRIC_CHARTS
from submarine_ray.saved.service import SavedService, read
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.panels import ArrangedCharts

NAME = "Charts of experiments"  # one document of each user has all of them
_WRITING = threading.Lock()


class KeptCharts:
    """Those of one experiment."""

    def __init__(self, saved: SavedService, experiment_id: str) -> None:
        self._saved = saved
        self._experiment_id = experiment_id

    async def read(self) -> list[str]:
        """The metrics in their order; empty if the user has chosen none."""
        if not self._experiment_id:
            return []
        _, kept = await asyncio.to_thread(self._find)
        return kept.charts.get(self._experiment_id, [])

    async def keep(self, metrics: list[str]) -> None:
        """Show these from now on. Raises SubmarineError."""
        if self._experiment_id:
            await asyncio.to_thread(self._write, metrics)

    def _write(self, metrics: list[str]) -> None:
        with _WRITING:
            found, kept = self._find()
            document = kept.with_charts(self._experiment_id, metrics)
            if found is None:
                self._saved.create(METRIC_CHARTS, NAME, document)
            else:
                self._saved.change(found.id, kind=METRIC_CHARTS, document=document)

    def _find(self) -> tuple[Saved | None, ArrangedCharts]:
        own = next((one for one in self._saved.list(METRIC_CHARTS) if one.is_own), None)
        return own, (read(own, ArrangedCharts) if own else None) or ArrangedCharts()
