"""What tables of classifiers and histograms look like as charts."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from submarine_ray.spec.json_types import Json
from submarine_ray.workbench import charts, parts

BINS = 48  # of values, in the chart over steps
MAX_STEPS = 60
NUMBERED = 20  # classes: the cells of more are too small for numbers
# Of the ground's colour, where there is least: an opacity would fade the numbers in the cells, too.
_SHADES = {"color": ["rgba(86, 180, 233, 0.06)", "rgba(0, 114, 178, 1)"]}
_ON_SHADES = {"color": "#fff", "textBorderColor": "#1b2430", "textBorderWidth": 2}
_GRID = {"left": 8, "right": 16, "top": 14, "containLabel": True}


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, which are in order."""

    edges: Sequence[float]
    counts: Sequence[float]
    described: str

    @classmethod
    def read(cls, text: str) -> Histogram | None:
        """What `log_histogram` wrote; None for what it did not."""
        try:
            found = json.loads(text)
            edges, counts = list(map(float, found["edges"])), list(map(float, found["counts"]))
            if len(edges) != len(counts) + 1 or not counts or edges != sorted(edges) or not _all_finite(edges, counts):
                return None
            facts = [f"{name} {float(found[name]):.4g}" for name in ("min", "max", "mean", "std") if name in found]
            if odd := int(found.get("not_finite", 0)):
                facts.append(f"{odd:,} not finite")
            total = parts.counted(int(found.get("count", sum(counts))), "value")
            return cls(edges, counts, f"{total}: {', '.join(facts)}")
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return None


def _all_finite(*several: Sequence[float]) -> bool:
    """Whether sums and differences can be made of all numbers, too."""
    return all(math.isfinite(2 * sum(map(abs, numbers))) for numbers in several)


def spread(histograms: Sequence[Histogram], low: float, high: float, bins: int = BINS) -> list[list[float]]:
    """The counts of histograms with edges of their own in bins that are the same for all."""
    width = (high - low) / bins or 1.0
    found = []
    for one in histograms:
        counts = [0.0] * bins
        for begin, end, count in zip(one.edges, one.edges[1:], one.counts, strict=False):
            first = min(max(int((begin - low) / width), 0), bins - 1)
            last = min(max(int((end - low) / width), first), bins - 1)
            for place in range(first, last + 1):
                left, right = low + place * width, low + (place + 1) * width
                share = (min(end, right) - max(begin, left)) / (end - begin) if end > begin else 1.0
                counts[place] += count * max(share, 0.0)
        found.append(counts)
    return found


def over_steps(steps: Sequence[int], histograms: Sequence[Histogram]) -> charts.Options:
    """How a distribution moves: a column for each step, darker where more values are."""
    low, high = min(one.edges[0] for one in histograms), max(one.edges[-1] for one in histograms)
    counts = spread(histograms, low, high)
    width = (high - low) / BINS or 1.0
    most = max(map(max, counts))
    data = [[x, y, round(count, 2)] for x, column in enumerate(counts) for y, count in enumerate(column) if count]
    return {
        "animation": False,
        "grid": {**_GRID, "bottom": 8},
        "tooltip": {"confine": True},
        "xAxis": charts.axis("category", data=[str(step) for step in steps]),
        "yAxis": charts.axis("category", data=[f"{low + (place + 0.5) * width:.3g}" for place in range(BINS)]),
        "visualMap": {"show": False, "min": 0, "max": most or 1, "inRange": _SHADES},
        "series": [{"type": "heatmap", "data": data}],
    }


def one_step(histogram: Histogram) -> charts.Options:
    """A distribution as bars."""
    middles = [(begin + end) / 2 for begin, end in pairwise(histogram.edges)]
    return {
        "animation": False,
        "grid": {**_GRID, "bottom": 8},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "shadow"}},
        "xAxis": charts.axis("category", data=[f"{middle:.3g}" for middle in middles]),
        "yAxis": charts.axis("value"),
        "series": [{"type": "bar", "data": list(histogram.counts), "color": charts.COLOURS[0], "barCategoryGap": "4%"}],
    }


def confusion(rows: Sequence[Sequence[Json]]) -> charts.Options | None:
    """Rows of (actual, predicted, count) as a matrix, shaded by the share of each actual class; None without any."""
    names = list(dict.fromkeys(str(row[0]) for row in rows if len(row) == 3))
    place = {name: number for number, name in enumerate(names)}
    counts = {
        (str(row[0]), str(row[1])): float(row[2]) for row in rows if len(row) == 3 and isinstance(row[2], int | float)
    }
    if not counts or any(predicted not in place for _, predicted in counts):
        return None
    total = defaultdict[str, float](float)
    for (actual, _), count in counts.items():
        total[actual] += count
    data = [
        [place[predicted], place[actual], count, round(count / (total[actual] or 1), 4)]
        for (actual, predicted), count in counts.items()
    ]
    names_axis = {"data": names, "splitArea": {"show": False}, "nameLocation": "middle"}
    return {
        "animation": False,
        "grid": {**_GRID, "left": 34, "bottom": 34},
        "tooltip": {"confine": True},
        "xAxis": charts.axis("category", name="Predicted", nameGap=28, **names_axis),
        "yAxis": charts.axis("category", name="Actual", nameGap=12, inverse=True, **names_axis),
        "visualMap": {"show": False, "min": 0, "max": 1, "dimension": 3, "inRange": _SHADES},
        "series": [
            {
                "type": "heatmap",
                "data": data,
                "label": {"show": len(names) <= NUMBERED, "formatter": "{@[2]}", **_ON_SHADES},
            }
        ],
    }


def area(points: Sequence[tuple[float, float]]) -> float:
    """The area below a curve."""
    return sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(points))


def curves(
    by_replica: Sequence[tuple[str, Sequence[Sequence[Json]]]], x: str, y: str, has_chance: bool
) -> charts.Options:
    """Rows of (class, x, y, threshold), of several replicas, as curves with their areas. `has_chance` draws a guess's
    curve.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for replica, rows in by_replica:
        for row in rows:
            if len(row) >= 3 and isinstance(row[1], int | float) and isinstance(row[2], int | float):
                name = f"{row[0]} · {replica}" if len(by_replica) > 1 else str(row[0])
                found.setdefault(name, []).append((float(row[1]), float(row[2])))
    series: list[charts.Options] = [
        {
            "name": f"{name} (area {area(points):.3f})",
            "type": "line",
            "showSymbol": False,
            "data": [list(point) for point in points],
            "lineStyle": {"width": 1.8},
            "color": charts.COLOURS[number % len(charts.COLOURS)],
        }
        for number, (name, points) in enumerate(found.items())
    ]
    legend = [one["name"] for one in series]
    if has_chance:
        chance: charts.Options = {"type": "line", "showSymbol": False, "data": [[0, 0], [1, 1]], "color": "#8a94a3"}
        series.append(chance | {"name": "chance", "lineStyle": {"width": 1, "type": "dashed"}, "silent": True})
    unit = {"min": 0, "max": 1, "nameLocation": "middle"}
    return {
        "animation": False,
        "grid": {**_GRID, "left": 30, "bottom": 58},
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "data": legend, "textStyle": {"color": "#8a94a3"}},
        "xAxis": charts.axis("value", name=x, nameGap=24, **unit),
        "yAxis": charts.axis("value", name=y, nameGap=32, **unit),
        "series": series,
    }
