"""Drawings of a sweep, with matplotlib: a notebook shows the figure, `savefig` keeps it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure  # without pyplot: nothing global, no window

from submarine_ray.spec.numbers import is_finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.05


class SweepFigure(Figure):
    """A figure that a notebook shows by itself: Jupyter draws only those of pyplot's."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png")
        return drawn.getvalue()


def draw(sweep: dict[str, Any], title: str) -> Figure:
    """The metric trial by trial above, a line for each trial through its parameters below. Raises ValueError."""
    metric, mode = str(sweep.get("metric")), str(sweep.get("mode"))
    shown = [trial for trial in sweep["trials"] if is_finite(trial["metrics"].get(metric))]
    if not shown:
        raise ValueError(f"{title}: no trial has reported a finite {metric!r} yet; there is nothing to draw")
    figure = SweepFigure(figsize=(10, 8), layout="constrained")
    above, below = figure.subplots(2, 1)
    figure.suptitle(title)
    _history(above, sorted(shown, key=lambda trial: trial["number"]), metric, mode)
    _parallel(figure, below, shown, metric, mode)
    return figure


def _history(axes: Axes, trials: list[dict[str, Any]], metric: str, mode: str) -> None:
    numbers = [trial["number"] for trial in trials]
    values = [trial["metrics"][metric] for trial in trials]
    better = max if mode == "max" else min
    best = [better(values[: count + 1]) for count in range(len(values))]
    axes.scatter(numbers, values, label="trial")
    axes.step(numbers, best, where="post", color="tab:red", label="best so far")
    axes.set(xlabel="trial", ylabel=metric, title="Optimisation history")
    axes.legend()


def _parallel(figure: Figure, axes: Axes, trials: list[dict[str, Any]], metric: str, mode: str) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    names = list(dict.fromkeys(name for trial in trials for name in trial["params"]))
    columns = [_Column(name, [trial["params"].get(name) for trial in trials]) for name in names]
    columns.append(_Column(metric, [trial["metrics"][metric] for trial in trials]))
    values = [trial["metrics"][metric] for trial in trials]
    shades = ScalarMappable(Normalize(min(values), max(values)), colormaps["viridis" if mode == "max" else "viridis_r"])
    # The best are drawn last, above the others.
    for row in sorted(range(len(trials)), key=lambda i: values[i], reverse=mode == "min"):
        points = [(place, column.heights[row]) for place, column in enumerate(columns)]
        places, heights = zip(*((place, height) for place, height in points if height is not None), strict=True)
        axes.plot(places, heights, color=shades.to_rgba(values[row]), alpha=0.8)
    for place, column in enumerate(columns):
        axes.axvline(place, color="0.7", linewidth=0.8)
        for height, text in column.ticks:
            axes.annotate(text, (place, height), fontsize=8, xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_xticks(range(len(columns)), [column.name for column in columns])
    axes.set_yticks([])
    axes.set_xlim(-MARGIN, len(columns) - 1 + 0.2)
    axes.set_ylim(-MARGIN, 1 + MARGIN)
    axes.set_title("Parallel coordinates")
    figure.colorbar(shades, ax=axes, label=metric)


class _Column:
    """One axis: each trial's height on it between 0 and 1, None where the trial has no such parameter."""

    def __init__(self, name: str, values: list[Any]) -> None:
        self.name = name
        given = [value for value in values if value is not None]
        if given and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
            low, high = min(given), max(given)
            span = high - low or 1
            self.heights = [None if value is None else (value - low) / span for value in values]
            self.ticks = [(0.0, f"{low:.4g}")] + ([(1.0, f"{high:.4g}")] if high > low else [])
        else:
            words = sorted({str(value) for value in given})
            heights = {word: place / max(1, len(words) - 1) for place, word in enumerate(words)}
            self.heights = [None if value is None else heights[str(value)] for value in values]
            self.ticks = [(height, word) for word, height in heights.items()]
