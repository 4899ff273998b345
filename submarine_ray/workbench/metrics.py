"""Metrics as charts, one a metric: a curve a replica of an experiment or a trial, or a curve a trial of a sweep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.tracking.curves import Axis, Curve, Point
from submarine_ray.workbench import charts, parts
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

FIRST = 8  # charts drawn without being asked for
Runs = Callable[[], dict[str, str]]  # MLflow's ids, and what their curves are called


@dataclass
class _View:
    chosen: list[str]
    axis: Axis = "step"
    log: bool = False
    weight: float = 0.0


async def draw(services: Services, runs: Runs, is_ranked: bool = False) -> Callable[[], Awaitable[None]]:
    """Draw the charts; answers what brings them up to date. `is_ranked`: the curve of the first run stands out."""
    shown = _Metrics(services, runs, is_ranked)
    await shown.refresh()
    return shown.refresh


class _Metrics:
    def __init__(self, services: Services, runs: Runs, is_ranked: bool) -> None:
        self._services = services
        self._of = runs
        self._is_ranked = is_ranked
        self._view = _View([])
        self._keys: list[str] = []
        self._charts: dict[str, ui.echart] = {}
        self._notes: dict[str, ui.label] = {}
        self._runs: dict[str, str] = {}
        self._found: dict[Curve, list[Point]] = {}
        self._tools = parts.row()
        self._tiles = ui.element("div").classes("tiles wide")
        self._nothing = ui.element("div")

    async def refresh(self) -> None:
        self._runs = await run_query(self._of)
        keys = sorted({one.key for one in await run_query(self._services.tracking.latest, tuple(self._runs))})
        if keys != self._keys or not keys:
            self._keys = keys
            self._view.chosen = [key for key in self._view.chosen if key in keys] or keys[:FIRST]
            self._draw_tools()
        await self._read()

    def _draw_tools(self) -> None:
        self._tools.clear()
        self._nothing.clear()
        if not self._keys:
            with self._nothing, parts.empty("No metrics yet", "Log metrics in your code to see them here:"):
                parts.block('import submarine_ray as submarine\nsubmarine.log_metric("loss", 0.3, step)', "Example")
            return
        with self._tools:
            ui.select(
                self._keys, label="Metrics", multiple=True, value=self._view.chosen, on_change=self._choose
            ).props("dense outlined use-chips options-dense").classes("grow")
            ui.select(
                {"step": "Step", "time": "Time"}, label="X axis", value=self._view.axis, on_change=self._turn
            ).props("dense outlined")
            with parts.row():
                parts.text("Smoothing", classes="quiet small")
                slider = ui.slider(min=0, max=0.99, step=0.01, value=self._view.weight)
                slider.on("update:model-value", lambda: self._smooth(slider.value), throttle=0.3, leading_events=False)
                slider.props('aria-label="Smoothing"').style("width: 110px; margin: 0 8px")
            ui.switch("Log scale", value=self._view.log, on_change=self._scale)

    async def _choose(self, event: ValueChangeEventArguments[list[str]]) -> None:
        self._view.chosen = list(event.value)
        await self._read()

    async def _turn(self, event: ValueChangeEventArguments[Axis]) -> None:
        self._view.axis = event.value
        await self._read()

    def _smooth(self, weight: float) -> None:
        self._view.weight = float(weight)
        self._draw()

    def _scale(self, event: ValueChangeEventArguments[bool | None]) -> None:
        self._view.log = bool(event.value)
        self._draw()

    async def _read(self) -> None:
        view = self._view
        self._found = await run_query(self._services.tracking.curves, tuple(self._runs), tuple(view.chosen), view.axis)
        self._draw()

    def _draw(self) -> None:
        view, found = self._view, self._found
        if list(self._charts) != view.chosen:
            self._tiles.clear()
            self._charts, self._notes = {}, {}
            with self._tiles:
                for key in view.chosen:
                    with parts.card(key):
                        self._charts[key] = charts.show({}, f"Chart of {key}")
                        self._notes[key] = ui.label().classes("quiet small")
        first = next(iter(self._runs.values()), None) if self._is_ranked and len(self._runs) > 1 else None
        for key, chart in self._charts.items():
            curves = {name or "run": found[run, key] for run, name in self._runs.items() if (run, key) in found}
            series = {name: [(point.x, point.value) for point in points] for name, points in curves.items()}
            kind = "time" if view.axis == "time" else "value"
            charts.replace(chart, charts.lines(series, kind, view.log, view.weight, first if first in series else None))
            self._note(key, curves)

    def _note(self, key: str, curves: dict[str, list[Point]]) -> None:
        """Say what a chart cannot draw."""
        at = {replica: charts.unfinished(points, self._view.axis) for replica, points in curves.items()}
        text = "; ".join(f"{replica}: {said}" for replica, said in at.items() if said)
        self._notes[key].set_text(f"Not drawn: {text}." if text else "")
        self._notes[key].set_visibility(bool(text))
