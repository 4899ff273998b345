"""Metrics as charts, one a metric: a curve a replica of an experiment or a trial, or a curve a trial of a sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments

from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.chart_settings import remember
from submarine_ray.workbench.kept_charts import KeptCharts
from submarine_ray.workbench.metric_charts import MetricCharts
from submarine_ray.workbench.panels import board
from submarine_ray.workbench.placing import place_at
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
        request = ui.context.client.request
        self._chosen = [key for key in request.query_params.getlist(addresses.METRIC) if key]
        self._kept = KeptCharts(services.saved, "" if of_system else request.path_params.get("experiment_id", ""))
        self._tools = parts.row()
        self._tiles = ui.element("panel-board").classes("tiles wide").props("fixed")
        self._tiles.on("moved", self._moved, js_handler="(event) => emit(event.detail)")
        self._nothing = ui.element("div")
        self._charts = MetricCharts(services.tracking)
        self._cards: dict[str, ui.element] = {}

    async def refresh(self) -> None:
        runs = await run_query(self._of)
        latest = await run_query(self._services.tracking.latest, tuple(runs))
        keys = sorted({one.key for one in latest if is_system(one.key) == self._of_system})
        if not self._keys and not self._chosen:
            self._chosen = await self._kept.read()
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
            self._picker = ui.select(
                self._keys, label="Metrics", multiple=True, value=self._chosen, on_change=self._choose
            )
            self._picker.props("dense outlined use-chips options-dense").classes("grow")
            self._charts.draw_controls(self._keys)

    async def _choose(self, event: ValueChangeEventArguments[list[str]]) -> None:
        if list(event.value) != self._chosen:
            await self._show(list(event.value))

    async def _moved(self, event: GenericEventArguments) -> None:
        told = event.args if isinstance(event.args, dict) else {}
        key, to = told.get("id"), told.get("to")
        if key in self._chosen and type(to) is int:
            others = [one for one in self._chosen if one != key]
            others.insert(min(max(0, to), len(others)), key)
            await self._show(others)
            if told.get("focus"):
                board.focus_handle(key)

    async def _show(self, chosen: list[str]) -> None:
        """Show these charts in this order, and keep the choice."""
        self._chosen = chosen
        self._picker.set_value(chosen)
        if not self._of_system:  # the address has one choice, which is of the training's
            remember({addresses.METRIC: self._chosen})
            await parts.attempt(self._kept.keep, self._chosen)
        await self.refresh()

    def _place(self) -> None:
        """Have a chart for each metric that is chosen."""
        for key in [key for key in self._cards if key not in self._chosen]:
            self._charts.forget(key)
            self._cards.pop(key).delete()
        for position, key in enumerate(self._chosen):
            if key not in self._cards:
                with self._tiles:
                    self._cards[key] = self._draw_card(key)
            place_at(self._cards[key], position)

    def _draw_card(self, key: str) -> ui.element:
        with parts.element("section", data_panel=key).classes("card") as card:
            with parts.row("panel-head tooled"):
                board.draw_handle(f"Move {key}: arrow keys move")
                parts.heading(key)._props["title"] = key
                parts.icon_button(f"Hide {key}", "visibility_off", lambda: self._hide(key))
            self._charts.add(key)
        return card

    async def _hide(self, key: str) -> None:
        await self._show([one for one in self._chosen if one != key])
