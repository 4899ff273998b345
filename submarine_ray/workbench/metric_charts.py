"""The charts of metrics on one page: one row of controls for all of them, and finer points for what is zoomed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from nicegui import Client, ui

from submarine_ray.tracking.curves import Curve, History
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench import metric_lines
from submarine_ray.workbench.chart_settings import ZOOM, ChartSettings, Controls, remember, zoom_query, zooms
from submarine_ray.workbench.line_chart import LineChart, Zoom

# Of each page, which may have several groups of charts and has one URL.
_ZOOMS: WeakKeyDictionary[Client, dict[str, Zoom]] = WeakKeyDictionary()


@dataclass
class _Drawn:
    chart: LineChart
    note: ui.label


class MetricCharts:
    """Add a chart for each metric where it shall be, and then `read`. Settings and zooms are those of the page's URL.

    `of`: what the charts' labels end with, such as ` by experiment`.
    """

    def __init__(self, tracking: TrackingService, of: str = "") -> None:
        self._tracking = tracking
        self._of = of
        request = ui.context.client.request
        self._controls = Controls(ChartSettings.of(request.query_params), self._change)
        self._zooms = _ZOOMS.setdefault(ui.context.client, zooms(request.query_params.getlist(ZOOM)))
        self._charts: dict[str, _Drawn] = {}
        self._runs: dict[str, str] = {}
        self._first: str | None = None
        self._pages: Mapping[str, str] = {}
        self._found: dict[Curve, History] = {}

    @property
    def keys(self) -> list[str]:
        """The metrics that have a chart."""
        return list(self._charts)

    def draw_controls(self, keys: Sequence[str]) -> None:
        """`keys`: the metrics that may be x."""
        self._controls.draw(keys)

    def add(self, key: str) -> None:
        """Draw a metric's chart here, empty until it is read."""
        chart = LineChart(f"Chart of {key}{self._of}", partial(self._zoomed, key), self._zooms.get(key))
        self._charts[key] = _Drawn(chart, ui.label().classes("quiet small"))
        self._charts[key].note.set_visibility(False)

    def forget(self, key: str) -> None:
        """A metric's chart is gone."""
        self._charts.pop(key, None)

    async def read(
        self, runs: Mapping[str, str], first: str | None = None, pages: Mapping[str, str] | None = None
    ) -> None:
        """Show the histories of these runs, as they are now. `runs`: MLflow's ids, and what their curves are called;
        `first`: the run whose curve stands out; `pages`: what a click on a run's curve opens.
        """
        self._runs, self._first, self._pages = dict(runs), first, pages or {}
        self._found = await metric_lines.read(self._tracking, list(runs), self.keys, self._controls.settings)
        for key in self.keys:
            await self._show(key)

    async def _show(self, key: str) -> None:
        settings, drawn = self._controls.settings, self._charts[key]
        finer = await metric_lines.read_finer(
            self._tracking, self._found, list(self._runs), key, settings, drawn.chart.zoom.x
        )
        if drawn.chart.is_deleted:
            return
        shown = metric_lines.lines(self._runs, key, self._found, settings, finer, self._first, self._pages)
        drawn.chart.draw(shown.series, settings.look)
        if drawn.note.text != shown.note:
            drawn.note.set_text(shown.note)
            drawn.note.set_visibility(bool(shown.note))

    async def _zoomed(self, key: str, zoom: Zoom) -> None:
        self._zooms[key] = zoom
        remember(zoom_query(self._zooms))
        if key in self._charts:
            await self._show(key)

    async def _change(self, before: ChartSettings, settings: ChartSettings) -> None:
        if before.x == settings.x:
            for drawn in self._charts.values():
                drawn.chart.restyle(settings.look)
            return
        for key in self._charts:
            self._zooms.pop(key, None)
        remember(zoom_query(self._zooms))
        for drawn in self._charts.values():
            drawn.chart.zoom = Zoom()
        await self.read(self._runs, self._first, self._pages)
