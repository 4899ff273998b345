"""Line panels: a curve a run, or a mean with a band a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from submarine_ray.spec.panels import AXES, LinePanel
from submarine_ray.tracking.curves import Axis, Curve, Point
from submarine_ray.workbench import charts
from submarine_ray.workbench.charts import Options
from submarine_ray.workbench.panels import means
from submarine_ray.workbench.panels.means import Course
from submarine_ray.workbench.panels.runs import Entry, Run

Curves = Mapping[Curve, Sequence[Point]]
_DASHES = ("solid", "dashed", "dotted")
_RAW_BEHIND = 8  # curves at most that have their raw ones behind them
_NAMES = {"step": "Step", "time": "Time", "relative": "Seconds since the start"}


@dataclass(frozen=True)
class Read:
    """The curves that line panels need, by step and by time."""

    by_step: Curves
    by_time: Curves


def axis_of(panel: LinePanel) -> Axis:
    """Which curves a panel is drawn from."""
    return "time" if panel.x in ("time", "relative") else "step"


def keys_of(panel: LinePanel) -> list[str]:
    """The metrics whose curves a panel needs."""
    return [*panel.metrics, *([] if panel.x in AXES else [panel.x])]


def options(panel: LinePanel, entries: Sequence[Entry], read: Read) -> Options:
    """The chart of a panel."""
    drawn = [
        series
        for entry in entries
        for number, metric in enumerate(panel.metrics)
        for series in _of_entry(panel, entry, metric, _DASHES[number % len(_DASHES)], read, len(entries))
    ]
    kind = "time" if panel.x == "time" else "log" if panel.log_x else "value"
    name = _NAMES.get(panel.x, panel.x)
    return {
        "animation": False,
        "grid": {"left": 8, "right": 16, "top": 14, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True, "order": "valueDesc"},
        "xAxis": charts.axis(kind, scale=True, name=name, nameLocation="middle", nameGap=24),
        "yAxis": charts.axis("log" if panel.log_y else "value", scale=True),
        "series": drawn,
    }


def _of_entry(panel: LinePanel, entry: Entry, metric: str, dash: str, read: Read, entries: int) -> Iterator[Options]:
    name = entry.label if len(panel.metrics) == 1 else f"{entry.label} · {metric}"
    raw = [course for run in entry.runs if (course := _course(panel, run, metric, read))]
    courses = [_smooth(course, panel.smoothing) for course in raw] if panel.smoothing else raw
    look = {"width": 2 if entry.is_group else 1.6, "type": dash}
    if not courses:
        return
    if entry.is_group:
        found = means.mean(courses)
        if panel.band != "none":
            yield from _band(panel, found, entry.colour, f"{name} band")
        yield _line(name, [(one.x, one.mean) for one in found], entry.colour, look)
        return
    if panel.smoothing and entries <= _RAW_BEHIND:
        yield _line(name, raw[0], entry.colour, {"width": 1, "opacity": 0.25}) | {"tooltip": {"show": False}}
    yield _line(name, courses[0], entry.colour, look)


def _line(name: str, points: Course, colour: str, look: Mapping[str, object]) -> Options:
    return {
        "name": name,
        "type": "line",
        "data": [list(point) for point in points],
        "showSymbol": len(points) < 3,
        "color": colour,
        "lineStyle": dict(look),
        "z": 3,
        "animation": False,
        "emphasis": {"focus": "series", "lineStyle": {"width": 3}},
    }


def _band(panel: LinePanel, found: Sequence[means.Mean], colour: str, name: str) -> Iterator[Options]:
    """An invisible lower edge, and the height of the band stacked upon it."""
    edges = [
        (one.x, one.low, one.high)
        if panel.band == "range"
        else (one.x, one.mean - one.deviation, one.mean + one.deviation)
        for one in found
    ]
    if panel.log_y:
        edges = [(x, low, high) for x, low, high in edges if low > 0]
    unseen = {
        "type": "line", "stack": name, "stackStrategy": "all", "symbol": "none", "silent": True, "color": colour,
        "lineStyle": {"opacity": 0}, "tooltip": {"show": False}, "animation": False, "z": 1,
    }  # fmt: skip
    yield {**unseen, "name": name, "data": [[x, low] for x, low, _ in edges]}
    area = {"areaStyle": {"opacity": 0.18, "color": colour}}
    yield {**unseen, **area, "name": name, "data": [[x, high - low] for x, low, high in edges]}


def _course(panel: LinePanel, run: Run, metric: str, read: Read) -> Course:
    """The points of a run's metric, as the panel's axes take them."""
    if run.run is None:
        return []
    found = (read.by_time if axis_of(panel) == "time" else read.by_step).get((run.run, metric), ())
    points = [(float(point.x), point.value) for point in found if point.value is not None]
    if panel.x == "relative" and found:
        points = [((x - found[0].x) / 1000, value) for x, value in points]
    elif panel.x not in AXES:
        points = _against(points, read.by_step.get((run.run, panel.x), ()))
    if panel.log_y:
        points = [(x, value) for x, value in points if value > 0]
    return [(x, value) for x, value in points if x > 0] if panel.log_x else points


def _against(points: Course, axis: Sequence[Point]) -> list[tuple[float, float]]:
    """Values over another metric's, at the same steps."""
    course = [(float(point.x), point.value) for point in axis if point.value is not None]
    if not course:
        return []
    there = dict(means.on_grid(course, [x for x, _ in points]))
    return sorted((there[place], value) for place, (_, value) in enumerate(points) if place in there)


def _smooth(course: Course, weight: float) -> Course:
    values = charts.smoothed([value for _, value in course], weight)
    return [(x, value) for (x, _), value in zip(course, values, strict=True) if value is not None]
