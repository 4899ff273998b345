"""The line chart: one component for all curves of the workbench, whatever they are of.

    chart = LineChart("Chart of loss", on_zoom=zoomed)
    chart.draw([Series("run a", x=[0, 1, 2], y=[3.0, None, 1.5])], Look(smoothing=0.6))

`draw` again brings it up to date: what is zoomed stays zoomed, and hidden curves stay hidden. Smoothing, logarithmic
axes, outliers, the legend's values and the downloads are the browser's work (static/line_chart.js), so `restyle`, which
changes how the same series are shown, sends no points. The cursors of all charts of a page with the same `x_name` move
together. Series of MLflow's metrics are made in `metric_lines`; controls for `Look` that are in the URL are in
`chart_settings`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from nicegui import ui
from nicegui.events import GenericEventArguments

XKind = Literal["number", "time", "duration"]
Dash = Literal["solid", "dashed", "dotted"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One curve. `x` rises, and has as many values as `y`, where None is a gap.

    `colour`: CSS; None takes the palette's next. `low` and `high`: a band around the curve, as many values as `y`.
    `stands_out`: drawn thick, above the others, which turn pale. `spacing`: the distance on x that smoothing takes for
    one point, where a part of the curve has finer ones; None: each point counts for one. `extremes`: the least and the
    largest value that the legend tells, where `y` has means; None: those of `y`. `href`: the page that a click on the
    curve opens, and a link in the legend.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str | None = None
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    stands_out: bool = False
    dash: Dash | None = None
    spacing: float | None = None
    extremes: Range | None = None
    href: str | None = None


@dataclass(frozen=True)
class Look:
    """How series are shown.

    `x_kind`: what x is: a number, milliseconds since 1970, or a duration in milliseconds. `smoothing`: the weight of
    the moving average, from 0 to below 1; the raw curve stays behind it. `clip_outliers`: the y axis leaves out 5 % of
    the values at each end.
    """

    x_kind: XKind = "number"
    x_name: str = "step"
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False
    clip_outliers: bool = False


@dataclass(frozen=True)
class Zoom:
    """The part of a chart that is shown; None is all."""

    x: Range | None = None
    y: Range | None = None


OnZoom = Callable[[Zoom], Awaitable[None]]


@dataclass
class _Drawn:
    series: list[dict[str, object]] = field(default_factory=list)
    look: dict[str, object] = field(default_factory=dict)


class LineChart(ui.echart, component=Path(__file__).parent / "static" / "line_chart.js"):
    """A chart of series. `label` tells people who cannot see it what it is, and names downloaded files.

    `on_zoom` is called a moment after the user has zoomed or reset; draw finer series then, where there are any.
    """

    def __init__(self, label: str, on_zoom: OnZoom | None = None, zoom: Zoom | None = None) -> None:
        super().__init__({})
        self._drawn = _Drawn()
        self.zoom = zoom or Zoom()
        self._props.update({"label": label, "series": [], "look": asdict(Look()), "zoom": asdict(self.zoom)})
        self._on_zoom = on_zoom
        self.on("zoom", self._zoomed)

    def draw(self, series: Sequence[Series], look: Look) -> None:
        """Show these series, if they differ from those that are shown."""
        drawn = _Drawn([_sent(one) for one in series], asdict(look))
        if drawn != self._drawn:
            self._drawn = drawn
            # In a tuple, whose content NiceGUI does not watch: it would wrap each number's list anew.
            self._props.update({"series": tuple(drawn.series), "look": drawn.look, "zoom": asdict(self.zoom)})
            self.update()

    def restyle(self, look: Look) -> None:
        """Show the same series otherwise."""
        said = asdict(look)
        if said != self._drawn.look:
            self._drawn.look = said
            self._props["look"] = said
            self.run_method("restyle", said)

    async def _zoomed(self, event: GenericEventArguments) -> None:
        self.zoom = Zoom(_range(event.args.get("x")), _range(event.args.get("y")))
        self._props["zoom"] = asdict(self.zoom)
        if self._on_zoom:
            await self._on_zoom(self.zoom)


def _sent(one: Series) -> dict[str, object]:
    """A series as the browser gets it: without what it lacks."""
    return {name: value for name, value in vars(one).items() if value is not None and value is not False}


def _range(said: object) -> Range | None:
    """A range as the browser tells it; anything else is none."""
    if not isinstance(said, list) or len(said) != 2 or not all(isinstance(one, (int, float)) for one in said):
        return None
    low, high = float(said[0]), float(said[1])
    return (low, high) if low < high else None
