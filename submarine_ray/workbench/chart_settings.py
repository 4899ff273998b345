"""How the charts of a page are shown: one row of controls for all of them, kept in the page's URL."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nicegui import ui
from starlette.datastructures import QueryParams

from submarine_ray.workbench import parts
from submarine_ray.workbench.line_chart import Look, Zoom

STEP, RELATIVE, TIME = "step", "relative", "time"
METRIC = "metrics."  # what stands before the name of a metric that is x
AXES = {STEP: "Step", RELATIVE: "Relative time", TIME: "Wall time"}
X, SMOOTHING, LOG_X, LOG_Y, OUTLIERS, ZOOM = "x", "smoothing", "logx", "logy", "outliers", "zoom"
_SMOOTHEST = 0.99


@dataclass(frozen=True)
class ChartSettings:
    """`x`: `step`, `relative`, `time`, or `metrics.NAME`; the others are as in `Look`."""

    x: str = STEP
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False
    clip_outliers: bool = False

    @property
    def x_metric(self) -> str | None:
        """The metric that is x, if one is."""
        return self.x.removeprefix(METRIC) if self.x.startswith(METRIC) else None

    @property
    def look(self) -> Look:
        kind = {TIME: "time", RELATIVE: "duration"}.get(self.x, "number")
        name = self.x_metric or AXES[self.x].lower()
        return Look(kind, name, self.smoothing, self.log_x and kind == "number", self.log_y, self.clip_outliers)  # type: ignore[arg-type]

    @classmethod
    def of(cls, query: QueryParams | Mapping[str, str]) -> ChartSettings:
        """What a URL says; what makes no sense there is as if it were not said."""
        x = query.get(X, STEP)
        try:
            smoothing = float(query.get(SMOOTHING, 0))
        except ValueError:
            smoothing = 0.0
        return cls(
            x if x in AXES or (x.startswith(METRIC) and x != METRIC) else STEP,
            min(max(smoothing, 0.0), _SMOOTHEST) if math.isfinite(smoothing) else 0.0,
            query.get(LOG_X) == "1",
            query.get(LOG_Y) == "1",
            query.get(OUTLIERS) == "hidden",
        )

    def query(self) -> dict[str, list[str]]:
        """The same for a URL; what is as usual is left out."""
        return {
            X: [self.x] if self.x != STEP else [],
            SMOOTHING: [f"{self.smoothing:g}"] if self.smoothing else [],
            LOG_X: ["1"] if self.log_x else [],
            LOG_Y: ["1"] if self.log_y else [],
            OUTLIERS: ["hidden"] if self.clip_outliers else [],
        }


def zooms(said: Iterable[str]) -> dict[str, Zoom]:
    """What is zoomed, by the name of its chart, from a URL: `loss~10~20~~` is x from 10 to 20, and all of y."""
    found: dict[str, Zoom] = {}
    for one in said:
        name, *numbers = one.rsplit("~", 4)
        try:
            ends = [float(number) if number else None for number in numbers]
        except ValueError:
            continue
        if len(ends) == 4 and all(end is None or math.isfinite(end) for end in ends):
            found[name] = Zoom(_ends(ends[0], ends[1]), _ends(ends[2], ends[3]))
    return found


def zoom_query(found: Mapping[str, Zoom]) -> dict[str, list[str]]:
    """The same for a URL."""
    said = []
    for name, zoom in found.items():
        if zoom != Zoom():
            numbers = [end for ends in (zoom.x, zoom.y) for end in ends or (None, None)]
            said.append("~".join([name, *("" if end is None else f"{end:.10g}" for end in numbers)]))
    return {ZOOM: said}


def _ends(low: float | None, high: float | None) -> tuple[float, float] | None:
    return (low, high) if low is not None and high is not None and low < high else None


def remember(query: Mapping[str, Sequence[str]]) -> None:
    """Put these parameters into the page's URL, whatever else it says; those without a value go."""
    script = """(query => {
        const url = new URL(location.href);
        for (const [name, values] of Object.entries(query)) {
            url.searchParams.delete(name);
            for (const value of values) url.searchParams.append(name, value);
        }
        history.replaceState(history.state, "", url);
    })"""
    ui.run_javascript(f"{script}({json.dumps(dict(query))})")


class Controls:
    """The row of controls. `changed` is called with the settings before and after a change."""

    def __init__(
        self, settings: ChartSettings, changed: Callable[[ChartSettings, ChartSettings], Awaitable[None]]
    ) -> None:
        self.settings = settings
        self._changed = changed

    def draw(self, keys: Sequence[str]) -> None:
        """`keys`: metrics that may be x."""
        settings = self.settings
        options = AXES | {METRIC + key: key for key in keys}
        if settings.x not in options:
            options[settings.x] = settings.x_metric or settings.x
        axis = ui.select(options, label="X axis", value=settings.x, with_input=len(options) > 12)
        axis.props("dense outlined options-dense").style("min-width: 140px")
        axis.on_value_change(lambda event: self._set(x=event.value or STEP))
        with parts.row():
            parts.text("Smoothing", classes="quiet small")
            slider = ui.slider(min=0, max=_SMOOTHEST, step=0.01, value=settings.smoothing)
            slider.on(
                "update:model-value",
                lambda: self._set(smoothing=float(slider.value)),
                throttle=0.1,
                leading_events=False,
            )
            slider.props('aria-label="Smoothing" label').style("width: 110px; margin: 0 8px")
        ui.switch("Log x", value=settings.log_x, on_change=lambda event: self._set(log_x=bool(event.value)))
        ui.switch("Log y", value=settings.log_y, on_change=lambda event: self._set(log_y=bool(event.value)))
        outliers = ui.switch("Hide outliers", value=settings.clip_outliers)
        outliers.on_value_change(lambda event: self._set(clip_outliers=bool(event.value)))
        outliers.tooltip("The y axis leaves out the highest and the lowest 5% of the values.")

    async def _set(self, **what: object) -> None:
        before, self.settings = self.settings, replace(self.settings, **what)  # type: ignore[arg-type]
        remember(self.settings.query())
        await self._changed(before, self.settings)
