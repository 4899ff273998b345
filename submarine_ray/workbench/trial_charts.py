"""The charts of a sweep's trials: how the best came about, which parameters matter, and all values side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.spec.answers.experiments import SweepAttributes, Trial
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.trials import metric_label
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench import charts, parts, sweep_metrics
from submarine_ray.workbench.importance import LEAST, Weights
from submarine_ray.workbench.line_chart import LineChart, Look, Series
from submarine_ray.workbench.metric_charts import MetricCharts

AXIS_WIDTH = 96
LABEL_WIDTH, BARS = 130, 15
CURVES = 25
_GREY = "#8a94a3"
Options = charts.Options


@dataclass(frozen=True)
class Scored:
    """The trials that have a finite value of the sweep's metric, the best first."""

    trials: Sequence[Trial]
    names: Sequence[str]
    metric: str
    mode: str

    @classmethod
    def of(cls, found: Sequence[Trial], sweep: SweepAttributes) -> Scored:
        names = sorted({name for trial in found for name in trial.params})
        return cls([one for one in found if is_finite(one.metrics.get(sweep.metric))], names, sweep.metric, sweep.mode)

    @property
    def axes(self) -> list[str]:
        """What the axes of parallel coordinates are called: the parameters, and the metric at last."""
        return [*self.names, metric_label(self.metric, self.names)]

    @property
    def rows(self) -> list[list[object]]:
        return [[*map(one.params.get, self.names), one.metrics[self.metric]] for one in self.trials]


class TrialCharts:
    """Drawn once, and then brought up to date. `place` is a trial's page; `log` are the axes that the URL names as
    logarithmic, None if it says nothing; `remember` writes those that were chosen into it.
    """

    def __init__(
        self,
        tracking: TrackingService,
        metric: str,
        place: Callable[[Trial], str],
        log: Sequence[str] | None,
        remember: Callable[[list[str] | None], None],
    ) -> None:
        self._metric = metric
        self._curves = MetricCharts(tracking, " of the best trials")
        self._place = place
        self._log = log
        self._remember = remember
        self._scored: Scored | None = None

    def draw(self) -> None:
        """Draw empty charts."""
        with parts.card():
            parts.heading(f"{self._metric} of the best trials").classes("anywhere")
            self._curves.add(self._metric)
        with ui.element("div").classes("tiles wide"):
            with parts.card("Best value so far"):
                self._history = LineChart("The best value after each trial")
            with parts.card("Parameter importance"):
                self._measure = parts.text("", "p", "quiet small")
                self._importance = charts.show({}, "Parameter importance")
                self._importance.set_visibility(False)
        with parts.card():
            with parts.row():
                parts.heading("Parallel coordinates").style("flex: 1 0 auto")
                self._axes = ui.select([], label="Log axes", multiple=True, on_change=self._choose)
                self._axes.props("dense outlined options-dense").style("min-width: 170px; max-width: 100%")
            parts.text("Each line is a trial. Click one to open it; drag along an axis to filter.", "p", "quiet small")
            # Each axis needs room for its labels; on a phone the chart is wider than the page.
            scroller = ui.element("div").style("overflow-x: auto")
            scroller._props.update({"tabindex": "0", "role": "group", "aria-label": "Parallel coordinates"})
            with scroller:
                self._parallel = charts.show({}, "Chart of parallel coordinates", "chart tall")

    async def show(self, scored: Scored) -> None:
        """Draw these trials."""
        self._scored = scored
        best = scored.trials[:CURVES]
        pages = {one.run_id: self._place(one) for one in best}
        await self._curves.read(sweep_metrics.named(best), best[0].run_id, pages)
        self._history.draw(_history(scored), Look(x_name="trial"))
        self._show_parallel(scored)

    def weigh(self, weights: Weights | None) -> None:
        """Draw what the parameters weigh."""
        self._importance.set_visibility(weights is not None)
        if weights is None:
            self._measure.set_text(f"Shown once {LEAST} trials with different parameters have a value.")
            return
        importance = "Optuna's PED-ANOVA" if weights.is_optuna else "the size of the correlation"
        self._measure.set_text(
            f"Importance: share of each parameter, by {importance}. Correlation: Spearman's, from -1 to 1."
        )
        charts.replace(self._importance, _bars(weights))

    def _show_parallel(self, scored: Scored) -> None:
        made = charts.parallel(scored.axes, scored.rows, [one.metrics[scored.metric] for one in scored.trials])
        able, chosen = log_axes(made, self._log)
        self._axes.set_options(able, value=chosen)
        self._axes.set_visibility(bool(able))
        self._parallel.style(f"min-width: {AXIS_WIDTH * len(scored.axes)}px")
        charts.replace(self._parallel, _with_trials(made, scored, self._place))

    def _choose(self, event: ValueChangeEventArguments[list[str]]) -> None:
        if self._scored is None or not isinstance(event.value, list):
            return
        _, before = log_axes(self._made(self._scored), self._log)
        if sorted(event.value) == sorted(before):  # as it was drawn
            return
        _, usual = log_axes(self._made(self._scored), None)
        self._log = None if sorted(event.value) == sorted(usual) else list(event.value)
        self._remember(None if self._log is None else list(self._log))
        self._show_parallel(self._scored)

    @staticmethod
    def _made(scored: Scored) -> Options:
        return charts.parallel(scored.axes, scored.rows, [one.metrics[scored.metric] for one in scored.trials])


def log_axes(made: Options, asked: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Those axes of parallel coordinates that may be logarithmic, and those that are: as `asked`, or as they were made.

    Changes the axes.
    """
    able, chosen = [], []
    series, axes = made["series"], made["parallelAxis"]
    assert isinstance(series, list) and isinstance(axes, list)  # noqa: S101 (charts.parallel makes both)
    for number, axis in enumerate(axes):
        values = [row[number] for row in series[0]["data"] if row[number] is not None]
        if axis["type"] == "category" or not values or min(values) <= 0:
            continue
        able.append(axis["name"])
        if asked is not None:
            axis["type"] = "log" if axis["name"] in asked else "value"
        if axis["type"] == "log":
            chosen.append(axis["name"])
    return able, chosen


def _with_trials(made: Options, scored: Scored, place: Callable[[Trial], str]) -> Options:
    """Parallel coordinates whose lines say which trial they are, and lead to it; the best one stands out."""
    series = made["series"]
    assert isinstance(series, list)  # noqa: S101 (charts.parallel makes it so)
    lines = zip(series[0]["data"], scored.trials, strict=True)
    series[0]["data"] = [
        {"value": row, "name": _said(trial, scored.metric), "href": place(trial)}
        | ({"lineStyle": {"width": 4, "opacity": 1}} if number == 0 else {})
        for number, (row, trial) in enumerate(lines)
    ]
    series[0]["emphasis"] = {"lineStyle": {"width": 4, "opacity": 1}}
    return {**made, "tooltip": {"trigger": "item", "confine": True, "formatter": "{b}"}}


def _said(trial: Trial, metric: str) -> str:
    params = ", ".join(f"{name}={parts.short(value)}" for name, value in trial.params.items())
    return f"#{trial.number} {params}: {metric} {parts.short(trial.metrics[metric])}"


def _bars(weights: Weights) -> Options:
    """Two bars for each of the parameters that matter most."""
    names = list(weights.importance)[:BARS]
    label = {"color": _GREY, "width": LABEL_WIDTH, "overflow": "truncate"}
    return {
        **charts.bars({name: weights.importance[name] for name in names}, horizontal=True),
        "yAxis": charts.axis("category", data=names, inverse=True, axisLabel=label),
        "grid": {"left": 8, "right": 24, "top": 10, "bottom": 34, "containLabel": True},
        "legend": {"show": True, "bottom": 0, "textStyle": {"color": _GREY}},
        "xAxis": charts.axis("value"),
        "series": [
            _bar("Importance", [weights.importance[name] for name in names], charts.COLOURS[0]),
            _bar("Correlation", [weights.correlation.get(name) for name in names], charts.COLOURS[5]),
        ],
    }


def _bar(name: str, values: Sequence[float | None], colour: str) -> Options:
    data = [None if value is None else round(value, 3) for value in values]
    return {"name": name, "type": "bar", "data": data, "color": colour, "barMaxWidth": 14}


def _history(scored: Scored) -> list[Series]:
    ordered = sorted(scored.trials, key=lambda one: one.number)
    numbers = [trial.number for trial in ordered]
    values = [value for trial in ordered if (value := trial.metrics[scored.metric]) is not None]
    best = list(accumulate(values, min if scored.mode == "min" else max))
    return [Series(scored.metric, numbers, values), Series("best so far", numbers, best)]
