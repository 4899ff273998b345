"""A sweep's trials: a table, how the best one came about, and which parameters mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui

from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.answers.experiments import SweepAttributes, Trial
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.trials import metric_label
from submarine_ray.workbench import addresses, charts, parts
from submarine_ray.workbench.addresses import MAX_COMPARED
from submarine_ray.workbench.services import Services


async def draw(services: Services, experiment_id: str, attempt: int | None) -> parts.Refresh:
    """Draw the trials; answers what brings them up to date."""
    content = ui.element("div").classes("stack")
    trials = services.experiments.results.trials
    which = addresses.attempt(experiment_id, attempt)

    def place(trial: Trial) -> str:
        return addresses.trial(experiment_id, trial.trial_id, attempt)

    return await parts.redrawn(content, lambda found: _draw(which, place, *found), trials, experiment_id, attempt)


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


def best(services: Services, experiment_id: str, attempt: int | None) -> Trial | None:
    """The sweep's best trial; None before one has logged the metric."""
    found = standing(services, experiment_id, attempt)
    return found.attributes.best if found else None


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


def _draw(which: str, place: Callable[[Trial], str], found: list[Trial], attributes: Attributes) -> None:
    if not found or not isinstance(attributes, SweepAttributes):
        with parts.empty("No trials yet", "Trials appear here as they start."):
            return
    metric, mode = attributes.metric, attributes.mode
    names = sorted({name for trial in found for name in trial.params})
    columns = [
        parts.Column("number", "#", "link", sortable=True),
        parts.Column("status", "Status", "status", sortable=True),
    ]
    columns += [parts.Column(f"p {name}", name, sortable=True) for name in names]
    columns += [
        parts.Column("metric", metric_label(metric, names), sortable=True),
        parts.Column("seconds", "Duration (s)", sortable=True, wide=True),
        parts.Column("message", "Message", wide=True),
    ]
    rows = [
        {
            **trial.model_dump(by_alias=True, exclude={"params", "metrics"}),
            **{f"p {name}": parts.short(trial.params.get(name)) for name in names},
            "metric": parts.short(trial.metrics.get(metric)),
            "href": place(trial),
            "state": parts.state(trial.status),
        }
        for trial in found
    ]
    with parts.row():
        parts.text("Select 2 to 20 trials to compare them.", classes="quiet small grow")
        compare = parts.button("Compare", icon="compare_arrows")
    table = parts.table(columns, rows, "trialId", "Trials", select=True, page=25 if len(rows) > 25 else 0)

    def chosen() -> list[str]:
        return [f"{which}/{row['trialId']}" for row in table.selected]

    compare.set_enabled(False)
    table.on_select(lambda: compare.set_enabled(2 <= len(chosen()) <= MAX_COMPARED))
    compare.on_click(lambda: ui.navigate.to(addresses.compare(chosen())))
    scored = [trial for trial in found if is_finite(trial.metrics.get(metric))]
    if len(scored) < 2:
        return
    with ui.element("div").classes("tiles wide"):
        with parts.card("Best value so far"):
            charts.show(charts.lines(_history(scored, metric, mode)), "The best value after each trial")
        with parts.card("Parameter importance"):
            parts.text(f"Rank correlation of each parameter with {metric}.", "p", "quiet small")
            charts.show(charts.bars(importance(scored, names, metric), horizontal=True), "Parameter importance")
    with parts.card("Parallel coordinates"):
        values = [trial.metrics[metric] for trial in scored]
        lines = [[*map(trial.params.get, names), value] for trial, value in zip(scored, values, strict=True)]
        charts.show(
            charts.parallel([*names, metric_label(metric, names)], lines, values), "Parallel coordinates", "chart tall"
        )


def _history(scored: list[Trial], metric: str, mode: str) -> charts.Series:
    better = min if mode == "min" else max
    values: list[tuple[int, float]] = []
    best: list[tuple[int, float]] = []
    for trial in sorted(scored, key=lambda one: one.number):
        value = trial.metrics[metric]
        values.append((trial.number, value))
        best.append((trial.number, better(value, best[-1][1]) if best else value))
    return {metric: values, "best so far": best}


def importance(scored: Sequence[Trial], names: Sequence[str], metric: str) -> dict[str, float]:
    """Spearman's rank correlation of each parameter with the metric, without its sign; the largest first."""
    values = _ranks([trial.metrics[metric] for trial in scored])
    found = {name: abs(_correlation(_ranks([trial.params.get(name) for trial in scored]), values)) for name in names}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(values: Sequence[object]) -> list[float]:
    """Each value's rank; equal ones share the mean of theirs."""
    numeric = all(isinstance(value, (int, float)) for value in values)
    keys = list(values) if numeric else [str(value) for value in values]
    ranks: dict[object, float] = {}
    before = 0
    for key, number in sorted(Counter(keys).items()):
        ranks[key] = before + (number - 1) / 2
        before += number
    return [ranks[key] for key in keys]


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    a, b = sum(one) / len(one), sum(other) / len(other)
    spread = sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)
    return sum((x - a) * (y - b) for x, y in zip(one, other, strict=True)) / spread**0.5 if spread else 0.0
