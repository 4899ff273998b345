"""Line panels: a curve a run, or a mean with a band a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from submarine_ray.spec.panels import AXES, LinePanel
from submarine_ray.tracking.curves import Axis, Curve, History
from submarine_ray.workbench.line_chart import Dash, Look, Series, XKind
from submarine_ray.workbench.panels import means
from submarine_ray.workbench.panels.means import Course
from submarine_ray.workbench.panels.runs import Entry, Run

Curves = Mapping[Curve, History]
_DASHES: tuple[Dash, ...] = ("solid", "dashed", "dotted")
_KINDS: Mapping[str, XKind] = {"time": "time", "relative": "duration"}
_NAMES = {"time": "wall time", "relative": "relative time"}


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


def look(panel: LinePanel) -> Look:
    """How a panel shows its series."""
    kind = _KINDS.get(panel.x, "number")
    return Look(kind, _NAMES.get(panel.x, panel.x), panel.smoothing, panel.log_x and kind == "number", panel.log_y)


def series(panel: LinePanel, entries: Sequence[Entry], read: Read) -> list[Series]:
    """The curves of a panel."""
    return [
        drawn
        for entry in entries
        for number, metric in enumerate(panel.metrics)
        for drawn in _of_entry(panel, entry, metric, _DASHES[number % len(_DASHES)], read)
    ]


def _of_entry(panel: LinePanel, entry: Entry, metric: str, dash: Dash, read: Read) -> Iterator[Series]:
    name = entry.label if len(panel.metrics) == 1 else f"{entry.label} · {metric}"
    courses = [course for run in entry.runs if (course := _course(panel, run, metric, read))]
    if not courses:
        return
    if not entry.is_group:
        yield Series(name, [x for x, _ in courses[0]], [y for _, y in courses[0]], entry.colour, dash=dash)
        return
    found = means.mean(courses)
    low = high = None
    if panel.band == "range":
        low, high = [one.low for one in found], [one.high for one in found]
    elif panel.band != "none":
        low, high = [one.mean - one.deviation for one in found], [one.mean + one.deviation for one in found]
    xs, ys = [one.x for one in found], [one.mean for one in found]
    yield Series(name, xs, ys, entry.colour, low=low, high=high, dash=dash)


def _course(panel: LinePanel, run: Run, metric: str, read: Read) -> Course:
    """The points of a run's metric, as the panel's x has them."""
    if run.run is None:
        return []
    axis = axis_of(panel)
    found = (read.by_time if axis == "time" else read.by_step).get((run.run, metric))
    if found is None:
        return []
    points = _points(found, axis)
    if panel.x == "relative":
        return [(x - found.began, value) for x, value in points]
    if panel.x not in AXES:
        of = read.by_step.get((run.run, panel.x))
        return _against(points, _points(of, "step") if of else [])
    return points


def _points(found: History, axis: Axis) -> list[tuple[float, float]]:
    xs = found.times if axis == "time" else found.steps
    return [(float(x), value) for x, value in zip(xs, found.values, strict=True) if value is not None]


def _against(points: Course, course: Course) -> list[tuple[float, float]]:
    """Values over another metric's, at the same steps."""
    if not course:
        return []
    there = dict(means.on_grid(course, [x for x, _ in points]))
    return sorted((there[place], value) for place, (_, value) in enumerate(points) if place in there)
