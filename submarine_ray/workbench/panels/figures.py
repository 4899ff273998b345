"""Charts of last values: bars, dots and parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence

from submarine_ray.spec.panels import BarPanel, ParallelPanel, ScatterPanel, plain
from submarine_ray.workbench import charts
from submarine_ray.workbench.charts import Options
from submarine_ray.workbench.panels.runs import Entry, Run, said

Cell = float | str
_QUIET = "#8a94a3"


def bars(panel: BarPanel, entries: Sequence[Entry]) -> Options:
    """A bar a run, or of each group the mean; the highest first."""
    found = []
    for entry in entries:
        values = [value for run in entry.runs if (value := run.number(panel.field)) is not None]
        if values and (not panel.log or min(values) > 0):
            found.append((sum(values) / len(values), entry))
    found.sort(key=lambda one: -one[0])
    values_axis = charts.axis("log" if panel.log else "value", scale=panel.log)
    return {
        "animation": False,
        "grid": {"left": 8, "right": 60, "top": 6, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "shadow"}},
        "xAxis": values_axis,
        "yAxis": charts.axis("category", data=[entry.label for _, entry in found], inverse=True)
        | {"axisLabel": {"width": 140, "overflow": "truncate", "color": _QUIET}},
        "series": [
            {
                "type": "bar",
                "name": plain(panel.field),
                "barMaxWidth": 22,
                "data": [{"value": _short(mean), "itemStyle": {"color": entry.colour}} for mean, entry in found],
                "label": {"show": len(found) <= 30, "position": "right", "color": _QUIET},
            }
        ],
    }


def scatter(panel: ScatterPanel, entries: Sequence[Entry]) -> Options:
    """A dot a run, in the colour of its entry."""
    dots = [
        (x, y, run, entry)
        for entry in entries
        for run in entry.runs
        if (x := run.value(panel.x)) is not None and (y := run.value(panel.y)) is not None
    ]
    across = _axis([x for x, *_ in dots], plain(panel.x), panel.log_x)
    upwards = _axis([y for _, y, *_ in dots], plain(panel.y), panel.log_y)
    dots = [one for one in dots if _fits(one[0], across) and _fits(one[1], upwards)]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 20, "top": 26, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": across | {"nameLocation": "middle", "nameGap": 26},
        "yAxis": upwards,
        "series": [
            {
                "type": "scatter",
                "name": f"{plain(panel.y)} by {plain(panel.x)}",
                "symbolSize": 9,
                "dimensions": [plain(panel.x), plain(panel.y)],
                "data": [
                    {
                        "name": run.label if not entry.is_group else f"{run.label} · {entry.label}",
                        "value": [_cell(x, across), _cell(y, upwards)],
                        "itemStyle": {"color": entry.colour, "opacity": 0.85},
                    }
                    for x, y, run, entry in dots
                ],
                "encode": {"x": 0, "y": 1, "tooltip": [0, 1]},
            }
        ],
    }


def parallel(panel: ParallelPanel, runs: Sequence[Run]) -> Options:
    """A line for each run that has a value on every axis, coloured by the last one."""
    rows = complete(panel, runs)
    last = [value if isinstance(value, float) else 0.0 for *_, value in rows]
    made = charts.parallel([plain(field) for field in panel.fields], rows, last)
    axes = made["parallelAxis"]
    assert isinstance(axes, list)  # noqa: S101 (charts.parallel makes it so)
    for field, axis, values in zip(panel.fields, axes, zip(*rows, strict=True), strict=False):
        if field in panel.log and all(isinstance(value, float) and value > 0 for value in values):
            axis["type"] = "log"
    return made


def complete(panel: ParallelPanel, runs: Sequence[Run]) -> list[list[Cell]]:
    """The values of those runs that have all of a panel's fields."""
    rows = [[run.value(field) for field in panel.fields] for run in runs]
    return [[value for value in row if value is not None] for row in rows if None not in row]


def _axis(values: Sequence[Cell], name: str, is_log: bool) -> Options:
    if all(isinstance(value, float) for value in values):
        return charts.axis("log" if is_log else "value", scale=True, name=name)
    return charts.axis("category", data=sorted({said(value) for value in values}), name=name)


def _fits(value: Cell, axis: Options) -> bool:
    return axis["type"] != "log" or (isinstance(value, float) and value > 0)


def _cell(value: Cell, axis: Options) -> Cell:
    return said(value) if axis["type"] == "category" else value


def _short(value: float) -> float:
    return float(f"{value:.6g}")
