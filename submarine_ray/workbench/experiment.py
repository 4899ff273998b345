"""One experiment: what it is, what it does, and what may be done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from starlette.requests import Request

from submarine_ray.spec.answers.experiments import Attempt, Experiment, Param
from submarine_ray.spec.answers.models import ModelVersion
from submarine_ray.spec.documents import dump
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.places import ObjectKind
from submarine_ray.spec.trials import TrialState
from submarine_ray.workbench import (
    addresses,
    artifacts,
    assets,
    dialogs,
    media,
    opened,
    parts,
    ran_with,
    snippets,
    sweep_metrics,
    system_metrics,
    timeline,
    trials,
    use_it,
)
from submarine_ray.workbench.edit import Notes, edit
from submarine_ray.workbench.layout import Bench, Page
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.register import register
from submarine_ray.workbench.written import written

TABS = ("overview", "metrics", "logs", "artifacts")


def add(bench: Bench) -> None:
    @bench.route("/experiments/{experiment_id}")
    async def experiment(
        request: Request,
        experiment_id: str,
        tab: str = "overview",
        path: str = "",
        show: str = "",
        attempt: int | None = None,
    ) -> None:
        assets.add_panels(bench.services.version)
        async with bench.page(request, experiment_id, "/experiments", has_charts=True) as page:
            found = await asyncio.to_thread(bench.services.experiments.get, experiment_id)
            ui.page_title(f"{found.name} · submarine-ray")
            await _Experiment(bench, page, found, path, show == "failure").draw(tab, attempt)


class _Experiment:
    def __init__(self, bench: Bench, page: Page, found: Experiment, path: str, show_failure: bool) -> None:
        self._services = bench.services
        self._page = page
        self._found = found
        self._path = path
        self._show_failure = show_failure
        self._overview: tuple[object, ...] | None = None
        self.id = found.experiment_id
        self._name = found.name
        self._attempts: list[Attempt] = []
        self._chosen: int | None = None  # the earlier attempt that the page shows, in place of the current one
        self._refresh: Callable[[], Awaitable[None]] | None = None

    @property
    def _shown(self) -> Attempt | Experiment:
        """The attempt that the page shows."""
        return next((one for one in self._attempts if one.attempt == self._chosen), self._found)

    async def draw(self, tab: str, attempt: int | None) -> None:
        await self._read_attempts()
        if any(one.attempt == attempt for one in self._attempts[:-1]):
            self._chosen = attempt
        specs = (self._found.spec, *(one.spec for one in self._attempts))
        names = [*TABS[:2], *(["trials"] if any(spec.tune for spec in specs) else []), *TABS[2:]]
        if await self._has_media():
            names.insert(-2, "media")
        with parts.row():
            parts.link("Experiments", "/experiments", classes="quiet")
            parts.text("/", classes="quiet")
            parts.text(self.id, classes="mono quiet anywhere")
            parts.copy_button(self.id, "Copy ID")
        with parts.row():
            self._title = parts.heading(self._name, 1)
            opened.star(self._services, ObjectKind.EXPERIMENT, self.id)
            self._badge = parts.badge(self._found.seen)
            parts.row("grow")
            self._actions = parts.row()
        self._why = ui.element("div")
        self._choice = ui.element("div")
        self._draw_choice()
        with ui.tabs(on_change=self._switch).props(
            'align=left inline-label outside-arrows mobile-arrows no-caps aria-label="Experiment sections"'
        ) as tabs:
            for name in names:
                ui.tab(name, label=name.capitalize())
        self._tabs, self._names = tabs, names
        self._tab = tab if tab in names else "overview"
        tabs.set_value(self._tab)
        self._content = ui.element("div").classes("stack")
        self._draw_state()
        await self._open(self._tab)
        self._subscription = self._page.live(self._look, self.id)
        await self._watch_runs()

    async def _switch(self, event: ValueChangeEventArguments[ui.tab | ui.tab_panel | str | None]) -> None:
        tab = event.value
        if not isinstance(tab, str) or tab == self._tab:
            return
        self._tab, self._path, self._show_failure = tab, "", False
        await self._turn()

    async def _turn(self) -> None:
        """Show the tab and the attempt that were chosen."""
        ui.navigate.history.replace(addresses.experiment(self.id, tab=self._tab, attempt=self._chosen))
        await self._open(self._tab)

    async def _read_attempts(self) -> None:
        if self._found.attempt > 1:
            self._attempts = await run_query(self._services.experiments.attempts.all, self.id)

    def _draw_choice(self) -> None:
        """Which attempt all tabs show, once there are several."""
        if len(self._attempts) < 2:
            return
        self._choice.clear()
        *earlier, last = self._attempts
        options = {0: f"Attempt {last.attempt} (current): {last.seen}"}
        options |= {one.attempt: f"Attempt {one.attempt}: {one.seen}" for one in reversed(earlier)}
        with self._choice, parts.row():
            choice = ui.select(options, value=self._chosen or 0, label="Attempt", on_change=self._choose)
            choice.props("dense outlined options-dense").style("min-width: 230px")
            newest = [one.attempt for one in self._attempts[-addresses.MAX_COMPARED :]]
            parts.link("Compare attempts", addresses.compare(addresses.attempt(self.id, number) for number in newest))

    async def _choose(self, event: ValueChangeEventArguments[int]) -> None:
        self._chosen, self._path, self._show_failure = event.value or None, "", False
        self._draw_state()
        await self._turn()

    async def _open(self, tab: str) -> None:
        self._content.clear()
        self._refresh = None
        with self._content:
            if tab == "metrics" and self._shown.spec.tune:
                self._refresh = await sweep_metrics.draw(self._services, self.id, self._chosen)
            elif tab == "metrics":
                runs = partial(self._services.experiments.results.runs, self.id, self._chosen)
                self._refresh = await system_metrics.draw(self._services, runs)
            elif tab == "trials":
                self._refresh = await trials.draw(self._services, self.id, self._chosen)
            elif tab == "media":
                self._refresh = await media.draw(self._services, self.id, self._media_runs)
            elif tab == "artifacts":
                await artifacts.draw(self._services, self.id, self._path, self._chosen)
            elif tab == "logs":
                address = f"/api/v1/experiment/logs/{quote(self.id)}"
                why = self._shown.message if self._show_failure else None
                attempt = str(self._chosen) if self._chosen else None
                parts.element("log-view", src=address, name=self.id, why=why, attempt=attempt)
            else:
                self._refresh = await self._draw_overview()

    async def _look(self) -> None:
        before, self._found = self._found, await run_query(self._services.experiments.get, self.id)
        if before != self._found:
            await self._read_attempts()
            self._draw_choice()
            self._draw_state()
            await self._watch_runs()
        elif self._found.spec.tune:
            await self._watch_runs()  # trials begin and end
        if "media" not in self._names and await self._has_media():
            self._names.insert(-2, "media")
            with self._tabs:
                ui.tab("media", label="Media").move(self._tabs, len(self._names) - 3)
        if self._refresh is not None:
            await self._refresh()

    def _media_runs(self) -> dict[str, str]:
        return self._services.experiments.results.media_runs(self.id, self._chosen)

    async def _has_media(self) -> bool:
        """Whether there are images, tables or the like: else there is no tab for them."""
        return self._found.run_id is not None and await media.any_of(self._services, self._media_runs)

    async def _watch_runs(self) -> None:
        """Hear of new metrics too, while there can be any."""
        going = self._found.run_id and self._found.status == ExperimentStatus.RUNNING
        self._subscription.runs = await run_query(self._going_runs) if going else ()

    def _going_runs(self) -> tuple[str, ...]:
        results = self._services.experiments.results
        trials = results.trials(self.id)[0] if self._found.spec.tune else []
        return *results.runs(self.id), *(one.run_id for one in trials if one.status == TrialState.RUNNING)

    def _draw_state(self) -> None:
        found = self._found
        ended = found.status in ExperimentStatus.ENDED
        seen = found.seen
        parts.show_badge(self._badge, seen)
        self._name = found.name
        self._title.set_text(self._name)
        self._actions.clear()
        with self._actions:
            if not ended:
                parts.button("Stop", self._stop, "stop", "outline")
            parts.button("Edit", self._edit, "edit")
            parts.button("Clone", lambda: ui.navigate.to(f"/experiments/new?clone={self.id}"), "content_copy")
            again = f"/experiments/new?patch={self.id}"
            parts.button("Rerun with changes", lambda: ui.navigate.to(again), "replay")
            if self._shown.status == ExperimentStatus.SUCCEEDED:
                if self._shown.spec.tune:
                    parts.button("Register best", self._register_best, "category", "main")
                else:
                    parts.button("Register model", self._register, "category", "main")
            parts.button("Delete", self._delete, "delete", "danger")
        self._draw_why()

    def _draw_why(self) -> None:
        """Why the attempt that is shown has failed, or does not get on."""
        shown = self._shown
        self._why.clear()
        if not shown.message or shown.status in (ExperimentStatus.RUNNING, ExperimentStatus.SUCCEEDED):
            return
        with self._why:
            failed = shown.seen == ExperimentStatus.FAILED
            parts.notice(f"{shown.reason}: {shown.message}" if shown.reason else shown.message, bad=failed)
            if failed and shown.run_id:
                place = addresses.experiment(self.id, tab="logs", show="failure", attempt=self._chosen)
                parts.button("Show in the log", lambda: ui.navigate.to(place), "article")

    async def _draw_overview(self) -> Callable[[], Awaitable[None]]:
        above = Notes(self._services.experiments, self._found) if self._found.spec.meta.notes else None
        pair = ui.element("div").classes("pair")
        notes = above or Notes(self._services.experiments, self._found)  # without any, below all that there is

        async def draw() -> None:
            notes.show(self._found.spec.meta.notes or "")
            happened, params, best, ran, models = await asyncio.gather(
                run_query(self._services.experiments.history, self.id),
                run_query(self._services.experiments.results.params, self.id, self._chosen),
                self._standing(),
                run_query(self._services.experiments.provenance.get, self.id, self._chosen),
                run_query(self._registered),
            )
            state = (self._found, self._shown, happened, params, best, ran, models)
            if self._overview == state and pair.default_slot.children:
                return
            self._overview = state
            pair.clear()
            with pair:
                with ui.element("div").classes("stack"):
                    if best:
                        trials.draw_best(self.id, self._chosen, best)
                    self._draw_facts()
                    if models:
                        _draw_models(models)
                    ran_with.draw(ran)
                    if params or not self._shown.spec.tune:  # a sweep's are its trials'
                        self._draw_params(params)
                with ui.element("div").classes("stack"):
                    timeline.draw(happened)
                    with parts.card():
                        spec = dump(written(self._shown.spec))
                        with parts.row():
                            parts.heading("Specification").classes("grow")
                            parts.link("Save as template", f"/templates/new?experiment={quote(self.id)}")
                            parts.copy_button(spec, "Copy specification")
                        parts.block(spec, "Specification")
                    own = snippets.Service.of(self._services.settings)
                    use_it.card("Read its status and its metrics.", snippets.experiment(own, self.id))

        await draw()
        return draw

    async def _standing(self) -> trials.Standing | None:
        """How far a sweep is; None for what is none."""
        if self._shown.spec.tune is None:
            return None
        return await run_query(trials.standing, self._services, self.id, self._chosen)

    def _registered(self) -> list[ModelVersion]:
        """The versions that were registered of what it has saved; a sweep's trials have theirs."""
        return self._services.models.of_run(self._shown.run_id) if self._shown.run_id else []

    def _draw_facts(self) -> None:
        found, meta, attempt = self._found, self._found.spec.meta, self._shown
        roles = attempt.spec.spec.items()
        with parts.card("Overview"):
            parts.facts(
                [
                    ("Command", lambda: parts.text(attempt.spec.meta.cmd or "–", "code", "anywhere")),
                    ("Framework", attempt.spec.meta.framework),
                    *((name, f"{task.replicas} × {task.resources or 'default resources'}") for name, task in roles),
                    ("Cluster", lambda: parts.link(found.cluster, addresses.cluster(found.cluster))),
                    ("Owner", meta.owner),
                    ("Team", meta.team),
                    ("Tags", lambda: parts.tags(meta.tags, self._tag)),
                    ("Attempt", f"{attempt.attempt} of {found.attempt}" if found.attempt > 1 else "1"),
                    ("Created", lambda: parts.ago(found.accepted_time)),
                    ("Started", lambda: parts.ago(attempt.running_time)),
                    ("Duration", lambda: parts.taken(attempt.running_time, attempt.finished_time)),
                    ("Open in", self._draw_links),
                ]
            )

    def _draw_links(self) -> None:
        cluster = self._services.clusters.capabilities(self._found.cluster)
        with parts.row():
            if self._shown.run_id:
                parts.link("MLflow run", f"/mlflow/#/runs/{self._shown.run_id}", new_tab=True)
            if cluster.is_here and self._services.experiments.results.has_tensorboard:  # others' files are elsewhere
                parts.link("TensorBoard", addresses.tensorboard(self.id), new_tab=True)
            if cluster.has_dashboard:
                parts.link("Ray dashboard", f"{addresses.dashboard(self._found.cluster)}#/jobs", new_tab=True)

    def _draw_params(self, params: list[Param]) -> None:
        with parts.card("Parameters"):
            if not params:
                parts.text("No parameters logged. Log one with submarine_ray.log_param(name, value).", "p", "quiet")
                return
            several = len({param.replica for param in params}) > 1
            columns = [
                parts.Column("key", "Name", "mono", sortable=True),
                parts.Column("value", "Value", "wrap", sortable=True),
            ]
            if several:
                columns.insert(0, parts.Column("replica", "Replica", sortable=True))
            rows = [one.model_dump() | {"id": f"{one.replica} {one.key}"} for one in params]
            parts.table(columns, rows, "id", "Parameters", page=25 if len(rows) > 25 else 0)

    async def _tag(self, tag: str, wanted: bool) -> None:
        if await parts.attempt(self._services.experiments.tag, self.id, tag, wanted):
            await self._look()

    async def _edit(self) -> None:
        if await edit(self._services.experiments, self._found):
            parts.tell("Saved")
            await self._look()

    async def _stop(self) -> None:
        if not await dialogs.confirmed(f"Stop {self._name}?", "Its history, logs and models are kept.", "Stop"):
            return
        if await parts.attempt(self._services.experiments.stop, self.id):
            parts.tell("Stop requested")
            await self._look()

    async def _delete(self) -> None:
        consequence = "If it is running, it is stopped. Its record and logs are deleted; registered models are kept."
        if not await dialogs.confirmed(f"Delete {self._name} permanently?", consequence, "Delete"):
            return
        if await parts.attempt(self._services.experiments.delete, self.id):
            ui.navigate.to("/experiments")

    async def _register(self) -> None:
        await register(self._services, self._name, self.id, self._chosen)

    async def _register_best(self) -> None:
        found = await parts.attempt(trials.best_with_model, self._services, self.id, self._chosen)
        if found and found.value:
            await register(self._services, self._name, self.id, self._chosen, found.value)
        elif found:
            parts.tell_failure("No trial has saved a model. Call submarine.save_model in its code.")


def _draw_models(found: list[ModelVersion]) -> None:
    with parts.card("Registered models"):
        for one in found:
            with parts.row():
                parts.link(f"{one.name} v{one.version}", addresses.model(one.name, one.version), classes="anywhere")
                parts.text(one.current_stage, classes="quiet")
