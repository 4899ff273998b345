"""Several experiments, attempts or trials side by side: what differs, and their curves in the same charts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.workbench import addresses, charts, parts
from submarine_ray.workbench.addresses import MAX_COMPARED
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.query_cache import QueryCache, run_query, shared
from submarine_ray.workbench.services import Services

CHARTS = 8


def add(bench: Bench) -> None:
    @bench.route("/compare")
    async def compare(request: Request, ids: str = "") -> None:
        async with bench.page(request, "Compare", "/experiments", has_charts=True):
            wanted = list(dict.fromkeys(id for id in ids.split(",") if id))[:MAX_COMPARED]
            parts.heading("Compare", 1)
            if len(wanted) < 2:
                with parts.empty(
                    "Nothing to compare yet",
                    "Select 2 to 20 experiments in the table, or trials of a sweep, then Compare.",
                ):
                    parts.button("Choose experiments", lambda: ui.navigate.to("/experiments"), kind="outline")
                return
            with shared(QueryCache()):  # several trials are of one sweep
                found = await asyncio.gather(*(_look(bench.services, id) for id in wanted))
            there = [one for one in found if one]
            for id, one in zip(wanted, found, strict=True):
                if one is None:
                    parts.notice(f"The experiment {id[:80]} does not exist.")
            _draw_table(there)
            await _draw_curves(bench.services, there)


@dataclass(frozen=True)
class _Column:
    """What is known of an experiment, or of a sweep's trial."""

    id: str
    name: str
    spec: ExperimentSpec
    run: str | None
    status: str
    params: Mapping[str, object]
    latest: Mapping[str, float]


async def _look(services: Services, id: str) -> _Column | None:
    """Of an experiment, an attempt of it (`experiment@2`), or a trial of either (`experiment/trial`); None if it is
    not there.
    """
    which, _, trial_id = id.partition("/")
    experiment_id, _, number = which.partition("@")
    attempt = int(number) if number.isdecimal() and len(number) < 9 else None
    try:
        found = await run_query(services.experiments.get, experiment_id)
        if trial_id:
            return await _look_at_trial(services, found, trial_id, attempt)
        if attempt:
            return await asyncio.to_thread(_look_at_attempt, services, found, attempt)
        return await asyncio.to_thread(_look_at_experiment, services, found)
    except NotFound:
        return None


def _look_at_attempt(services: Services, found: Experiment, number: int) -> _Column | None:
    attempts = services.experiments.attempts.all(found.experiment_id)
    shown = next((one for one in attempts if one.attempt == number), None)
    if shown is None:
        return None
    column = _look_at_experiment(services, found, number)
    return replace(column, name=f"{found.name}, attempt {number}", spec=shown.spec, status=shown.seen)


def _look_at_experiment(services: Services, found: Experiment, attempt: int | None = None) -> _Column:
    id = found.experiment_id
    runs = services.experiments.results.runs(id, attempt)
    own = next(iter(runs), None)
    logged = services.experiments.results.params(id, attempt)
    params = {one.key: one.value for one in logged if own and one.replica == runs[own]}
    latest = {one.key: one.value for one in services.tracking.latest([own])} if own else {}
    return _Column(id, found.name, found.spec, own, found.seen, params, latest)


async def _look_at_trial(services: Services, sweep: Experiment, trial_id: str, attempt: int | None) -> _Column | None:
    trials, _ = await run_query(services.experiments.results.trials, sweep.experiment_id, attempt)
    trial = next((one for one in trials if one.trial_id == trial_id), None)
    if trial is None:
        return None
    name = f"trial {trial.number}"
    return _Column(sweep.experiment_id, name, sweep.spec, trial.run_id, trial.status, trial.params, trial.metrics)


def _sections(found: list[_Column]) -> dict[str, dict[str, list[str]]]:
    """The table's rows by section: a parameter and a metric may have one name, and so may a row of ours."""
    about = {
        "Framework": [one.spec.meta.framework for one in found],
        "Command": [one.spec.meta.cmd or "" for one in found],
    }
    return {
        "About": about,
        "Parameters": _values([one.params for one in found]),
        "Metrics": _values([one.latest for one in found]),
    }


def _values(found: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    keys = sorted({key for one in found for key in one})
    return {key: [_said(one.get(key)) for one in found] for key in keys}


def _said(value: object) -> str:
    return "" if value is None else str(parts.short(value))


def _draw_table(found: list[_Column]) -> None:
    with ui.element("div").classes("card scroll").props('tabindex=0 role=region aria-label="Differences"'):
        parts.text("Differences are marked.", "p", "quiet small")
        with ui.element("table").classes("plain"):
            with ui.element("tr"):
                parts.text("", "td")
                for one in found:
                    with ui.element("th"):
                        parts.link(one.name, addresses.experiment(one.id))
                        ui.element("br")
                        parts.badge(one.status)
            for title, rows in _sections(found).items():
                if rows:
                    _draw_section(title, rows, len(found))


def _draw_section(title: str, rows: dict[str, list[str]], width: int) -> None:
    with parts.element("tbody", aria_label=title):
        with ui.element("tr"):
            parts.text(title, "th", "section")._props.update({"colspan": width + 1, "scope": "rowgroup"})
        for label, values in rows.items():
            with ui.element("tr"):
                parts.text(label, "th")
                for value in values:
                    parts.text(value, "td", "mono diff" if len(set(values)) > 1 else "mono")


async def _draw_curves(services: Services, found: list[_Column]) -> None:
    keys = sorted({key for one in found for key in one.latest})[:CHARTS]
    drawn = [(one, one.run) for one in found if one.run]
    if not keys:
        return
    curves = await asyncio.to_thread(services.tracking.curves, [run for _, run in drawn], keys, "step")
    with ui.element("div").classes("tiles wide"):
        for key in keys:
            series = {
                _label(one): [(point.x, point.value) for point in curves[run, key]]
                for one, run in drawn
                if (run, key) in curves
            }
            with parts.card(key):
                charts.show(charts.lines(series), f"The course of {key} of each experiment")


def _label(one: _Column) -> str:
    """A name that no other curve has: several experiments may have one name."""
    return f"{one.name} ({one.id[-4:]})"
