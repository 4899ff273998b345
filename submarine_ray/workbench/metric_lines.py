"""Histories of metrics as series of a line chart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from submarine_ray.core.clock import iso
from submarine_ray.spec.numbers import INFINITY, MINUS_INFINITY, NAN
from submarine_ray.tracking.curves import Axis, Curve, History, Window
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench.chart_settings import RELATIVE, TIME, ChartSettings
from submarine_ray.workbench.line_chart import Range, Series
from submarine_ray.workbench.query_cache import run_query

BANDS = 4  # curves of one chart that show their extremes


@dataclass(frozen=True)
class Lines:
    """What a chart of one metric shows, and in words what it cannot."""

    series: list[Series]
    note: str


def axis_of(settings: ChartSettings) -> Axis:
    """By which of the two the histories are read."""
    return "time" if settings.x in (TIME, RELATIVE) else "step"


async def read(
    tracking: TrackingService, runs: Sequence[str], keys: Sequence[str], settings: ChartSettings
) -> dict[Curve, History]:
    """The histories of some metrics of some runs, and of the metric that is x."""
    wanted = dict.fromkeys([*keys, *([settings.x_metric] if settings.x_metric else [])])
    return await run_query(tracking.curves, tuple(runs), tuple(wanted), axis_of(settings))


async def read_finer(
    tracking: TrackingService,
    found: Mapping[Curve, History],
    runs: Sequence[str],
    key: str,
    settings: ChartSettings,
    zoom: Range | None,
) -> dict[Curve, History]:
    """The part of one metric's curves that is zoomed to, where it was condensed. Nothing if x is a metric."""
    coarse = [run for run in runs if (run, key) in found and not found[run, key].is_whole]
    if zoom is None or settings.x_metric or not coarse:
        return {}
    windows: dict[Window, list[str]] = {}
    for run in coarse:
        began = found[run, key].began if settings.x == RELATIVE else 0
        windows.setdefault((zoom[0] + began, zoom[1] + began), []).append(run)
    finer: dict[Curve, History] = {}
    for window, some in windows.items():
        finer |= await run_query(tracking.curves, tuple(some), (key,), axis_of(settings), window)
    return finer


def lines(
    runs: Mapping[str, str],
    key: str,
    found: Mapping[Curve, History],
    settings: ChartSettings,
    finer: Mapping[Curve, History] | None = None,
    first: str | None = None,
    pages: Mapping[str, str] | None = None,
) -> Lines:
    """The curves of one metric.

    `runs`: MLflow's ids, and what their curves are called. `finer`: parts of the curves with more points. `first`: the
    run whose curve stands out. `pages`: what a click on a run's curve opens.
    """
    drawn = {run: name or "run" for run, name in runs.items() if (run, key) in found}
    series, notes = [], []
    for run, name in drawn.items():
        history = found[run, key]
        has_band = len(drawn) <= BANDS
        made = _series(name, history, settings, found.get((run, settings.x_metric or "")), has_band)
        part = (finer or {}).get((run, key))
        if part is not None:
            made = _joined(made, _series(name, part, settings, None, has_band))
        series.append(replace(made, stands_out=run == first, href=(pages or {}).get(run)))
        if said := unfinished(history, axis_of(settings)):
            notes.append(f"{name}: {said}")
    return Lines(series, f"Not drawn: {'; '.join(notes)}." if notes else "")


def _series(name: str, history: History, settings: ChartSettings, x_of: History | None, has_band: bool) -> Series:
    rows = range(len(history.steps))
    xs: Sequence[float | None]
    if settings.x == TIME:
        xs = history.times
    elif settings.x == RELATIVE:
        xs = [time - history.began for time in history.times]
    elif settings.x_metric:
        xs = list(_interpolated(history.steps, x_of)) if x_of else [None] * len(rows)
        rows = sorted((row for row in rows if xs[row] is not None), key=lambda row: xs[row] or 0.0)  # type: ignore[assignment]
        picked: list[float] = [x for row in rows if (x := xs[row]) is not None]
        return Series(name, picked, [history.values[row] for row in rows], extremes=_extremes(history))
    else:
        xs = history.steps
    spreads = has_band and history.lows != history.highs
    return Series(
        name,
        xs,  # type: ignore[arg-type]
        history.values,
        low=history.lows if spreads else None,
        high=history.highs if spreads else None,
        extremes=_extremes(history),
    )


def _extremes(history: History) -> Range | None:
    lows = [low for low in history.lows if low is not None]
    highs = [high for high in history.highs if high is not None]
    return (min(lows), max(highs)) if lows and highs else None


def _interpolated(steps: Sequence[int], of: History) -> Iterator[float | None]:
    """The value of a metric at some steps; None outside of its own."""
    known = [(step, value) for step, value in zip(of.steps, of.values, strict=True) if value is not None]
    places = [step for step, _ in known]
    for step in steps:
        after = bisect_left(places, step)
        if after == len(places) or (after == 0 and places[0] != step):
            yield None
        elif places[after] == step:
            yield known[after][1]
        else:
            (begin, low), (end, high) = known[after - 1], known[after]
            yield low + (high - low) * (step - begin) / (end - begin)


def _joined(whole: Series, part: Series) -> Series:
    """A curve with finer points in place of those of a part of it."""
    if not part.x or not whole.x:
        return whole
    before, after = bisect_left(whole.x, part.x[0]), bisect_left(whole.x, part.x[-1])
    if after < len(whole.x) and whole.x[after] == part.x[-1]:
        after += 1

    def join(one: Sequence[float | None], other: Sequence[float | None]) -> list[float | None]:
        return [*one[:before], *other, *one[after:]]

    low = high = None
    if whole.low or part.low:
        low = join(whole.low or whole.y, part.low or part.y)
        high = join(whole.high or whole.y, part.high or part.y)
    spacing = (whole.x[-1] - whole.x[0]) / max(1, len(whole.x) - 1)
    x = [*whole.x[:before], *part.x, *whole.x[after:]]
    return replace(whole, x=x, y=join(whole.y, part.y), low=low, high=high, spacing=spacing or None)


def unfinished(history: History, axis: Axis) -> str:
    """What a curve has besides finite numbers, in words: `NaN (3 values, first at step 120)`; empty without any."""
    found = []
    for place, kind in enumerate((NAN, INFINITY, MINUS_INFINITY)):
        rows = {row: counts[place] for row, counts in history.odd.items() if counts[place]}
        if total := sum(rows.values()):
            row = min(rows)
            first = f"step {history.steps[row]}" if axis == "step" else iso(history.times[row])
            found.append(f"{kind} ({total} {'value' if total == 1 else 'values'}, first at {first})")
    return ", ".join(found)
