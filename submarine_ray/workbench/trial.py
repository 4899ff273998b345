"""One trial of a sweep: its parameters, metrics and log, and its model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.spec.answers.experiments import Experiment, SweepAttributes, Trial
from submarine_ray.spec.answers.models import ModelVersion
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.trials import TrialState
from submarine_ray.workbench import addresses, assets, media, parts, system_metrics, trials
from submarine_ray.workbench.layout import Bench, Page
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.register import register
from submarine_ray.workbench.services import Services

_METRICS = (parts.Column("key", "Name", "mono", sortable=True), parts.Column("value", "Last value", right=True))


@dataclass(frozen=True)
class _Found:
    """What the page shows."""

    trial: Trial
    is_best: bool
    can_stop: bool
    is_stopping: bool
    saved: list[str]
    registered: list[ModelVersion]


def add(bench: Bench) -> None:
    @bench.route("/experiments/{experiment_id}/trials/{trial_id}")
    async def trial(request: Request, experiment_id: str, trial_id: str, attempt: int | None = None) -> None:
        assets.add_panels(bench.services.version)
        async with bench.page(request, f"Trial {trial_id}", "/experiments", has_charts=True) as page:
            sweep = await asyncio.to_thread(bench.services.experiments.get, experiment_id)
            chosen = attempt if attempt != sweep.attempt else None
            await _Trial(bench.services, page, sweep, trial_id, chosen).draw()


def _look(services: Services, experiment_id: str, trial_id: str, attempt: int | None) -> _Found:
    results = services.experiments.results
    every, attributes = results.trials(experiment_id, attempt)
    found = next((one for one in every if one.trial_id == trial_id), None)
    if found is None:
        raise NotFound(f"{experiment_id} has no trial {trial_id[:80]!r}.")
    best = attributes.best if isinstance(attributes, SweepAttributes) else None
    try:
        registered = services.models.of_run(found.run_id)
    except SubmarineError:  # the registry may be elsewhere, and away
        registered = []
    is_going = attempt is None and services.experiments.get(experiment_id).status not in ExperimentStatus.ENDED
    is_asked = trial_id in services.experiments.sweeps.stopping(experiment_id)
    return _Found(
        trial=found,
        is_best=best is not None and best.trial_id == trial_id,
        can_stop=is_going and found.status == TrialState.RUNNING and not is_asked,
        is_stopping=is_asked and found.status == TrialState.RUNNING,
        saved=results.trial_models(found.run_id),
        registered=registered,
    )


class _Trial:
    def __init__(self, services: Services, page: Page, sweep: Experiment, trial_id: str, attempt: int | None) -> None:
        self._services = services
        self._page = page
        self._sweep = sweep
        self._of = (sweep.experiment_id, trial_id, attempt)

    async def draw(self) -> None:
        id, trial_id, attempt = self._of
        look = partial(_look, self._services, *self._of)
        await asyncio.to_thread(look)  # raises NotFound before anything is drawn
        with parts.row():
            parts.link(self._sweep.name, addresses.experiment(id, attempt=attempt), classes="quiet anywhere")
            parts.text("/", classes="quiet")
            parts.link("Trials", addresses.experiment(id, tab="trials", attempt=attempt), classes="quiet")
        self._refresh = refresh = await parts.redrawn(ui.element("div").classes("stack"), self._draw, look)
        charts = ui.element("div").classes("stack")
        runs = partial(self._services.experiments.results.trial_runs, *self._of)
        with charts:
            refresh_charts = await system_metrics.draw(self._services, runs)
        with ui.element("div").classes("stack"):
            refresh_media = await media.draw(self._services, id, runs, "Media")
        with parts.card("Log"):
            address = f"/api/v1/experiment/logs/{quote(id)}"
            number = str(attempt) if attempt else None
            parts.element("log-view", src=address, name=trial_id, replica=f"trial-{trial_id}", attempt=number)

        async def refreshed() -> None:
            await refresh()
            await refresh_charts()
            await refresh_media()
            subscription.runs = tuple(await run_query(runs)) if self._is_running else ()

        subscription = self._page.live(refreshed, id)
        subscription.runs = tuple(await run_query(runs)) if self._is_running else ()

    def _draw(self, found: _Found) -> None:
        one = found.trial
        self._is_running = one.status == TrialState.RUNNING
        with parts.row():
            parts.heading(f"Trial {one.number}", 1)
            parts.badge(trials.STOPPING if found.is_stopping else one.status, parts.state(one.status))
            if found.is_best:
                parts.text("best so far" if self._is_running else "best", classes="chip")
            parts.row("grow")
            if found.can_stop:
                parts.button("Stop trial", self._stop, "stop", "outline")
            if found.saved:
                parts.button("Register model", partial(self._register, one), "category", "main")
        if one.message:
            parts.notice(one.message, bad=one.status == TrialState.FAILED)
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                self._draw_facts(found)
            with ui.element("div").classes("stack"):
                with parts.card("Parameters"):
                    parts.facts(trials.parameters(one))
                with parts.card("Metrics"):
                    self._draw_metrics(one)

    def _draw_facts(self, found: _Found) -> None:
        one, (id, _, attempt) = found.trial, self._of

        def draw_versions() -> None:
            with parts.row():
                for version in found.registered:
                    parts.link(f"{version.name} v{version.version}", addresses.model(version.name, version.version))

        def draw_sweep() -> None:
            parts.link(self._sweep.name, addresses.experiment(id, attempt=attempt), classes="anywhere")

        with parts.card("Overview"):
            parts.facts(
                [
                    ("Id", lambda: parts.text(one.trial_id, "code", "anywhere")),
                    ("Sweep", draw_sweep),
                    ("Started", lambda: parts.ago(one.started_time)),
                    ("Duration", lambda: parts.taken(one.started_time, one.finished_time)),
                    ("Checkpoint", one.checkpoint),
                    ("Saved models", ", ".join(found.saved) or "none"),
                    ("Registered as", draw_versions if found.registered else None),
                    ("Open in", lambda: parts.link("MLflow run", f"/mlflow/#/runs/{one.run_id}", new_tab=True)),
                ]
            )

    def _draw_metrics(self, one: Trial) -> None:
        if not one.metrics:
            parts.text("None logged yet." if self._is_running else "None logged.", "p", "quiet")
            return
        rows: list[parts.Row] = [{"key": key, "value": parts.short(value)} for key, value in one.metrics.items()]
        parts.table(_METRICS, rows, "key", "Metrics", page=25 if len(rows) > 25 else 0)

    async def _stop(self) -> None:
        id, trial_id, _ = self._of
        if await parts.attempt(self._services.experiments.sweeps.stop_trial, id, trial_id):
            parts.tell("Stopping this trial. The sweep goes on.")
            await self._refresh()

    async def _register(self, one: Trial) -> None:
        id, _, attempt = self._of
        await register(self._services, self._sweep.name, id, attempt, one)
