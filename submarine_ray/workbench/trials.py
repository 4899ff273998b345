"""A sweep's trials: a table, the best first, with charts below; and the best one's card for the overview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui

from submarine_ray.core.errors import Conflict
from submarine_ray.spec.answers.experiments import SweepAttributes, Trial
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.trials import TrialState, metric_label
from submarine_ray.workbench import addresses, importance, parts
from submarine_ray.workbench.addresses import MAX_COMPARED
from submarine_ray.workbench.chart_settings import remember
from submarine_ray.workbench.extend import extend
from submarine_ray.workbench.query_cache import off_the_loop, run_query
from submarine_ray.workbench.services import Services
from submarine_ray.workbench.trial_charts import Scored, TrialCharts

STOPPING = "Stopping"
CANDIDATES = 50  # so far down the ranking a model is looked for
_STOP = (
    '<q-td :props="props"><q-btn v-if="props.row.going" flat round dense size="sm" icon="stop" '
    ":aria-label=\"'Stop trial ' + props.row.number\" @click=\"$parent.$emit('stop', props.row.trialId)\">"
    "<q-tooltip>Stop this trial; the sweep goes on</q-tooltip></q-btn></q-td>"
)


async def draw(services: Services, experiment_id: str, attempt: int | None) -> parts.Refresh:
    """Draw the trials; answers what brings them up to date."""
    shown = _Trials(services, experiment_id, attempt)
    await shown.refresh()
    return shown.refresh


@dataclass(frozen=True)
class Standing:
    """How far a sweep is."""

    attributes: SweepAttributes
    counts: Mapping[str, int]
    """The number of trials by their status."""


def standing(services: Services, experiment_id: str, attempt: int | None) -> Standing | None:
    """The sweep's best trial and how many trials there are; None for what is no sweep."""
    found, attributes = services.experiments.results.trials(experiment_id, attempt)
    if not isinstance(attributes, SweepAttributes):
        return None
    return Standing(attributes, Counter(one.status for one in found))


def best_with_model(services: Services, experiment_id: str, attempt: int | None) -> Trial | None:
    """The best trial that has saved a model; None if none has. One that was ended early may be better, and have none.

    Raises Conflict before a trial has logged the metric.
    """
    results = services.experiments.results
    found, sweep = results.trials(experiment_id, attempt)
    if not isinstance(sweep, SweepAttributes) or sweep.best is None:
        raise Conflict("No trial has logged a finite value of the sweep's metric.")
    scored = [one for one in found if one.status != TrialState.FAILED and is_finite(one.metrics.get(sweep.metric))]
    return next((one for one in scored[:CANDIDATES] if results.trial_models(one.run_id)), None)


def draw_best(experiment_id: str, attempt: int | None, now: Standing) -> None:
    """The card of the best trial, for the overview."""
    first, metric = now.attributes.best, now.attributes.metric
    with parts.card("Best trial"):
        if first is None:
            parts.text(f"No trial has logged a finite {metric} yet.", "p", "quiet")
        else:
            place = addresses.trial(experiment_id, first.trial_id, attempt)
            parts.facts(
                [
                    ("Trial", lambda: parts.link(f"Trial {first.number} ({first.trial_id})", place)),
                    (metric_label(metric, first.params), str(parts.short(first.metrics[metric]))),
                    *parameters(first),
                ]
            )
        with parts.row():
            counts = ", ".join(f"{number} {status}" for status, number in sorted(now.counts.items()))
            parts.text(f"{sum(now.counts.values())} of {now.attributes.total} trials: {counts or 'none yet'}.")
            parts.link("All trials", addresses.experiment(experiment_id, tab="trials", attempt=attempt))


def parameters(trial: Trial) -> list[tuple[str, Callable[[], object]]]:
    """A trial's parameters, to be drawn as facts; a value may be long."""

    def draw_value(value: object) -> object:
        return parts.text(str(parts.short(value)), "code", "anywhere")

    return [(name, partial(draw_value, value)) for name, value in trial.params.items()]


@dataclass(frozen=True)
class _Found:
    """What the tab shows; `is_going`: it is the current attempt, and may get more trials."""

    trials: Sequence[Trial]
    sweep: SweepAttributes | None
    stopping: frozenset[str]
    is_going: bool
    can_grow: bool


class _Trials:
    """The tab. The table and the charts stay when values change, with what is selected and zoomed in them."""

    def __init__(self, services: Services, experiment_id: str, attempt: int | None) -> None:
        self._services = services
        self._id = experiment_id
        self._attempt = attempt
        self._content = ui.element("div").classes("stack")
        self._before: _Found | None = None
        self._shape: object = None
        query = ui.context.client.request.query_params
        asked = query.getlist(addresses.LOG_AXES)
        self._log = [name for name in asked if name] if asked else None
        self._weighed: list[str] = []
        if self._log is not None:
            self._remember(self._log)  # a turn to another tab has taken it from the URL

    def look(self) -> _Found:
        experiments = self._services.experiments
        found, sweep = experiments.results.trials(self._id, self._attempt)
        if not isinstance(sweep, SweepAttributes):
            return _Found(found, None, frozenset(), False, False)
        now = experiments.get(self._id)
        can_grow = self._attempt is None and now.spec.tune is not None and now.spec.tune.algorithm != "grid"
        is_going = self._attempt is None and now.status not in ExperimentStatus.ENDED
        stopping = experiments.sweeps.stopping(self._id) if is_going else frozenset()
        return _Found(found, sweep, stopping, is_going, can_grow)

    async def refresh(self) -> None:
        found = await run_query(self.look)
        if found == self._before or self._content.is_deleted:
            return
        self._before = found
        scored = Scored.of(found.trials, found.sweep) if found.sweep else None
        has_charts = scored is not None and len(scored.trials) > 1
        shape = (bool(found.trials), scored and scored.names, has_charts, found.is_going, found.can_grow)
        if shape != self._shape:
            self._shape = shape
            self._content.clear()
            with self._content:
                self._draw(found, scored, has_charts)
        elif scored and found.trials:
            parts.replace_rows(self._table, self._rows(found, scored))
        if scored and has_charts:
            await self._charts.show(scored)
            await self._weigh(scored)

    async def _weigh(self, scored: Scored) -> None:
        """Draw what parameters weigh, once another trial has ended."""
        ended = [one for one in scored.trials if one.status in TrialState.ENDED]
        if (ids := [one.trial_id for one in ended]) == self._weighed:
            return
        self._weighed = ids
        charts, weights = self._charts, await off_the_loop(importance.weigh, ended, scored.metric, scored.mode)
        if not self._content.is_deleted and charts is self._charts:
            charts.weigh(weights)

    def _draw(self, found: _Found, scored: Scored | None, has_charts: bool) -> None:
        if scored is None or not found.trials:
            with parts.empty("No trials yet", "Trials appear here as they start."):
                self._draw_extend(found)
            return
        with parts.row():
            parts.text(f"Best first. Select 2 to {MAX_COMPARED} trials to compare them.", classes="quiet small").style(
                "flex: 1 1 200px"
            )
            self._draw_extend(found)
            compare = parts.button("Compare", icon="compare_arrows")
        rows = self._rows(found, scored)
        self._table = parts.table(
            _columns(scored, found.is_going), rows, "trialId", "Trials", select=True, page=25 if len(rows) > 25 else 0
        )
        self._table.add_slot("body-cell-stop", _STOP)
        self._table.on("stop", lambda event: self._stop(str(event.args)))
        compare.set_enabled(False)
        self._table.on_select(lambda: compare.set_enabled(2 <= len(self._chosen()) <= MAX_COMPARED))
        compare.on_click(lambda: ui.navigate.to(addresses.compare(self._chosen())))
        if has_charts:
            self._weighed = []
            self._charts = TrialCharts(self._services.tracking, scored.metric, self._place, self._log, self._remember)
            self._charts.draw()

    def _draw_extend(self, found: _Found) -> None:
        if found.can_grow:
            parts.button("Extend", self._extend, "add")

    def _rows(self, found: _Found, scored: Scored) -> list[parts.Row]:
        best = found.sweep.best if found.sweep else None
        return [
            {
                **trial.model_dump(by_alias=True, exclude={"params", "metrics"}),
                **{f"p {name}": parts.short(trial.params.get(name)) for name in scored.names},
                "metric": parts.short(trial.metrics.get(scored.metric)),
                "href": self._place(trial),
                "why": "best" if best and best.trial_id == trial.trial_id else "",
                "status": STOPPING if _is_stopping(trial, found.stopping) else trial.status,
                "state": parts.state(trial.status),
                "going": found.is_going and trial.status == TrialState.RUNNING and trial.trial_id not in found.stopping,
            }
            for trial in found.trials
        ]

    def _chosen(self) -> list[str]:
        which = addresses.attempt(self._id, self._attempt)
        return [f"{which}/{row['trialId']}" for row in self._table.selected]

    def _place(self, trial: Trial) -> str:
        return addresses.trial(self._id, trial.trial_id, self._attempt)

    def _remember(self, log: list[str] | None) -> None:
        self._log = log
        remember({addresses.LOG_AXES: [] if log is None else log or [""]})

    async def _stop(self, trial_id: str) -> None:
        if await parts.attempt(self._services.experiments.sweeps.stop_trial, self._id, trial_id):
            parts.tell(f"Stopping trial {trial_id}")
            await self.refresh()

    async def _extend(self) -> None:
        if await extend(self._services, self._id):
            await self.refresh()


def _is_stopping(trial: Trial, stopping: frozenset[str]) -> bool:
    return trial.trial_id in stopping and trial.status == TrialState.RUNNING


def _columns(scored: Scored, is_going: bool) -> list[parts.Column]:
    return [
        parts.Column("number", "#", "named", sortable=True),
        parts.Column("status", "Status", "status", sortable=True),
        *(parts.Column(f"p {name}", name, sortable=True) for name in scored.names),
        parts.Column("metric", metric_label(scored.metric, scored.names), sortable=True),
        parts.Column("seconds", "Duration (s)", sortable=True, wide=True),
        parts.Column("message", "Message", wide=True),
        *([parts.Column("stop", "Stop")] if is_going else []),
    ]
