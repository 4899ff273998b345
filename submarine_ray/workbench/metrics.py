"""Metrics as charts, one a metric: a curve a replica of an experiment or a trial, or a curve a trial of a sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.chart_settings import remember
from submarine_ray.workbench.metric_charts import MetricCharts
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

FIRST = 8  # charts drawn without being asked for
Runs = Callable[[], dict[str, str]]  # MLflow's ids, and what their curves are called


async def draw(
    services: Services, runs: Runs, is_ranked: bool = False, of_system: bool = False, pages: Runs | None = None
) -> Callable[[], Awaitable[None]]:
    """Draw the charts; answers what brings them up to date. `is_ranked`: the curve of the first run stands out.
    `of_system`: those of the machines, which are left out else. `pages`: what a click on a run's curve opens.
    """
    shown = _Metrics(services, runs, is_ranked, of_system, pages)
    await shown.refresh()
    return shown.refresh


class _Metrics:
    def __init__(self, services: Services, runs: Runs, is_ranked: bool, of_system: bool, pages: Runs | None) -> None:
        self._services = services
        self._of = runs
        self._is_ranked = is_ranked
        self._of_system = of_system
        self._pages = pages
        self._keys: list[str] = []
        self._chosen = [key for key in ui.context.client.request.query_params.getlist(addresses.METRIC) if key]
        self._tools = parts.row()
        self._tiles = ui.element("div").classes("tiles wide")
        self._nothing = ui.element("div")
        self._charts = MetricCharts(services.tracking)

    async def refresh(self) -> None:
        runs = await run_query(self._of)
        latest = await run_query(self._services.tracking.latest, tuple(runs))
        keys = sorted({one.key for one in latest if is_system(one.key) == self._of_system})
        if keys != self._keys or not keys:
            self._keys = keys
            self._chosen = [key for key in self._chosen if key in keys] or keys[:FIRST]
            self._draw_tools()
        self._place()
        best = next(iter(runs), None) if self._is_ranked and len(runs) > 1 else None
        await self._charts.read(runs, best, await run_query(self._pages) if self._pages else None)

    def _draw_tools(self) -> None:
        self._tools.clear()
        self._nothing.clear()
        if not self._keys:
            with self._nothing, parts.empty("No metrics yet", "Log metrics in your code to see them here:"):
                parts.block('import submarine_ray as submarine\nsubmarine.log_metric("loss", 0.3, step)', "Example")
            return
        with self._tools:
            ui.select(self._keys, label="Metrics", multiple=True, value=self._chosen, on_change=self._choose).props(
                "dense outlined use-chips options-dense"
            ).classes("grow")
            self._charts.draw_controls(self._keys)

    async def _choose(self, event: ValueChangeEventArguments[list[str]]) -> None:
        self._chosen = list(event.value)
        if not self._of_system:  # the address has one choice, which is of the training's
            remember({addresses.METRIC: self._chosen})
        await self.refresh()

    def _place(self) -> None:
        """Have a chart for each metric that is chosen."""
        if self._charts.keys == self._chosen:
            return
        self._tiles.clear()
        for key in self._charts.keys:
            self._charts.forget(key)
        with self._tiles:
            for key in self._chosen:
                with parts.card(key):
                    self._charts.add(key)
