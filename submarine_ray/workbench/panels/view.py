"""What stands in a panel, drawn from runs that have been read for all panels at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.spec.panels import (
    BarPanel,
    ImagePanel,
    LinePanel,
    Panel,
    ParallelPanel,
    Runs,
    ScatterPanel,
    TablePanel,
    TextPanel,
    fields_of,
    plain,
    title_of,
)
from submarine_ray.tracking.curves import Axis
from submarine_ray.workbench import addresses, charts, markdown, parts
from submarine_ray.workbench.charts import Options
from submarine_ray.workbench.line_chart import LineChart
from submarine_ray.workbench.panels import figures, lines, runs
from submarine_ray.workbench.panels.images import Images
from submarine_ray.workbench.panels.lines import Read
from submarine_ray.workbench.panels.runs import Found
from submarine_ray.workbench.services import Services


@dataclass(frozen=True)
class Loaded:
    """What panels show: the runs, and the curves of those that are drawn."""

    found: Found
    read: Read


def load(services: Services, wanted: Runs, panels: Sequence[Panel]) -> Loaded:
    """Read what some panels show of the same runs: one query for the runs, and one for the curves of each axis."""
    found = runs.read(services, wanted, [field for panel in panels for field in fields_of(panel)])
    drawn = [panel for panel in panels if isinstance(panel, LinePanel)]
    ids = [run.run for run in found.runs if run.run]

    def curves(axis: Axis) -> lines.Curves:
        keys = {key for panel in drawn if lines.axis_of(panel) == axis for key in lines.keys_of(panel)}
        return services.tracking.curves(ids, sorted(keys), axis) if keys and ids else {}

    return Loaded(found, Read(curves("step"), curves("time")))


class PanelView:
    """The content of a panel, drawn where it is made; `show` brings it to other runs."""

    def __init__(self, panel: Panel, services: Services) -> None:
        self.panel = panel
        self._services = services
        self._place = ui.element("div").classes("panel-content")
        self._chart: ui.echart | None = None
        self._lines: LineChart | None = None
        self._shown: object = None
        self._note = ui.label().classes("quiet small")
        self._note.set_visibility(False)

    def show(self, loaded: Loaded, found: Found) -> None:
        """Draw the runs of `found`: those of `loaded` that are switched on."""
        match self.panel:
            case TextPanel(text=text):
                self._show_once(text, lambda: markdown.draw(text))
            case ImagePanel():
                self._show_images(found)
            case TablePanel():
                self._show_table(found)
            case LinePanel() as panel:
                self._show_lines(panel, loaded, found)
            case _:
                self._show_chart(found)

    def _show_lines(self, panel: LinePanel, loaded: Loaded, found: Found) -> None:
        series = lines.series(panel, found.entries, loaded.read)
        if not series:
            self._show_nothing()
            return
        if self._lines is None:
            self._place.clear()
            with self._place:
                self._lines = LineChart(f"Chart of {title_of(panel)}")
        self._lines.draw(series, lines.look(panel))

    def _show_nothing(self) -> None:
        self._chart, self._lines, self._shown = None, None, None
        self._place.clear()
        with self._place:
            parts.text("No run has values for this panel.", "p", "quiet small nothing")

    def _show_chart(self, found: Found) -> None:
        options, why = _options(self.panel, found)
        self._say(why)
        if options is None:
            self._show_nothing()
        elif self._chart is None:
            self._place.clear()
            with self._place:
                self._chart = charts.show(options, f"Chart of {title_of(self.panel)}", "filling")
        else:
            charts.replace(self._chart, options)

    def _show_table(self, found: Found) -> None:
        assert isinstance(self.panel, TablePanel)  # noqa: S101 (show says so)
        fields = self.panel.fields
        columns = [
            parts.Column("name", "Name", "link"),
            *(
                parts.Column(f"value{place}", plain(field), "value", sortable=True, right=True, title=field)
                for place, field in enumerate(fields)
            ),
        ]
        rows: list[parts.Row] = [
            {
                "id": run.id,
                "name": run.label,
                "href": addresses.experiment(run.id),
                **{f"value{place}": parts.short(run.value(field)) for place, field in enumerate(fields)},
            }
            for run in found.runs
        ]
        self._show_once(rows, lambda: parts.table(columns, rows, "id", title_of(self.panel)))

    def _show_images(self, found: Found) -> None:
        assert isinstance(self.panel, ImagePanel)  # noqa: S101 (show says so)
        shown = [(run.id, run.label) for run in found.runs if run.run]
        path = self.panel.path
        self._show_once(shown, lambda: Images(self._services, path, shown).draw())

    def _show_once(self, shown: object, draw: object) -> None:
        if self._shown == shown and self._place.default_slot.children:
            return
        self._shown = shown
        self._place.clear()
        with self._place:
            assert callable(draw)  # noqa: S101
            draw()

    def _say(self, text: str) -> None:
        self._note.set_text(text)
        self._note.set_visibility(bool(text))


def _options(panel: Panel, found: Found) -> tuple[Options | None, str]:
    """A chart's options, None if nothing can be drawn; and what it leaves out, in words."""
    match panel:
        case BarPanel():
            options = figures.bars(panel, found.entries)
            return (options if _has_data(options) else None), ""
        case ScatterPanel():
            options = figures.scatter(panel, found.entries)
            return (options if _has_data(options) else None), ""
        case ParallelPanel():
            complete = figures.complete(panel, found.runs)
            missing = len(found.runs) - len(complete)
            why = f"{parts.counted(missing, 'run')} without all of these values." if missing and complete else ""
            return (figures.parallel(panel, found.runs) if complete else None), why
        case _:
            return None, ""


def _has_data(options: Options) -> bool:
    series = options["series"]
    return isinstance(series, list) and any(one["data"] for one in series)
