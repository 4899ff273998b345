"""Options for ECharts: calm, readable in both themes, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nicegui import ui

# Okabe and Ito's palette, which the colour-blind can tell apart, without its yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7d5ba6", "#8c564b")
_GREY = "#8a94a3"
SPREAD = 100
_AXIS = {
    "axisLine": {"lineStyle": {"color": _GREY}},
    "axisLabel": {"color": _GREY, "hideOverlap": True},
    "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.18}},
    "nameTextStyle": {"color": _GREY},
}
Options = dict[str, object]  # ECharts'


def axis(kind: str = "value", **more: object) -> Options:
    return {"type": kind, **_AXIS, **more}


def bars(values: Mapping[str, float], horizontal: bool = False) -> Options:
    """One bar a name."""
    whole = all(float(number).is_integer() for number in values.values())
    names, value = axis("category", data=list(values)), axis("value", minInterval=1 if whole else 0)
    return {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 10, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "shadow"}},
        "xAxis": value if horizontal else names,
        "yAxis": {**names, "inverse": True} if horizontal else value,
        "series": [{"type": "bar", "data": list(values.values()), "color": COLOURS[0], "barMaxWidth": 26}],
    }


def pie(values: Mapping[str, float], colours: Mapping[str, str] | None = None) -> Options:
    """A ring of shares."""
    data = [
        {"name": name, "value": number, "itemStyle": {"color": (colours or {}).get(name, COLOURS[i % len(COLOURS)])}}
        for i, (name, number) in enumerate(values.items())
    ]
    return {
        "animation": False,
        "tooltip": {"trigger": "item", "confine": True},
        "legend": {"bottom": 0, "type": "scroll", "textStyle": {"color": _GREY}},
        "series": [
            {"type": "pie", "radius": ["52%", "74%"], "center": ["50%", "44%"], "label": {"show": False}, "data": data}
        ],
    }


def parallel(dimensions: Sequence[str], rows: Sequence[Sequence[object]], colour_by: Sequence[float]) -> Options:
    """Parallel coordinates: a line a row, coloured by a value."""
    axes = []
    for number, name in enumerate(dimensions):
        values = [row[number] for row in rows]
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        given = [value for value in values if value is not None]  # a row without a value has no point on the axis
        kind = "value" if given and len(numbers) == len(given) else "category"
        if kind == "value" and min(numbers) > 0 and max(numbers) / min(numbers) > SPREAD:
            kind = "log"  # as learning rates are: else all but the largest would be one line
        one: Options = {"dim": number, "name": name, "type": kind, **_AXIS, "scale": True}
        if kind == "category":
            one["data"] = sorted({str(value) for value in given})
        axes.append(one)
    low, high = (min(colour_by), max(colour_by)) if colour_by else (0.0, 1.0)
    texts = [one["type"] == "category" for one in axes]
    data = [[str(v) if texts[n] and v is not None else v for n, v in enumerate(row)] for row in rows]
    return {
        "animation": False,
        "parallelAxis": axes,
        "parallel": {"left": 60, "right": 90, "top": 36, "bottom": 24},
        "visualMap": {
            "show": False, "min": low, "max": high if high > low else low + 1, "dimension": len(dimensions) - 1,
            "inRange": {"color": ["#56b4e9", "#0072b2", "#d55e00"]},
        },
        "series": [{"type": "parallel", "lineStyle": {"width": 1.6, "opacity": 0.7}, "data": data}],
    }  # fmt: skip


class Chart(ui.echart, component=Path(__file__).parent / "static" / "chart.js"):
    """NiceGUI's chart with a browser's part of our own; options are data alone, and no functions."""


def show(options: Options, label: str, classes: str = "chart") -> ui.echart:
    """Draw a chart; `label` tells people who cannot see it what it is."""
    made = Chart(options).classes(classes)
    made._props.update({"role": "img", "aria-label": label})
    return made


def later(options: Options, label: str, classes: str = "chart") -> None:
    """Keep the chart's place, and draw it once the page answers: its library is the half of all that a page loads."""
    place = ui.element("div").classes(classes)

    def draw() -> None:
        if not place.is_deleted and not place.default_slot.children:
            with place:
                show(options, label, "filling")

    client = ui.context.client
    if client.has_socket_connection:
        draw()
    else:
        client.on_connect(draw)


def replace(chart: ui.echart, options: Options) -> None:
    """Draw other options, if they differ: series that are gone go."""
    if chart.options != options:
        chart.options.clear()
        chart.options.update(options)
        chart.update()
