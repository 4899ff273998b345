"""The first page answers three questions: what runs now, and how full the clusters are; what needs the user; where the
user was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from nicegui import ui
from starlette.requests import Request

from submarine_ray.access.acting import acting_user
from submarine_ray.core.clock import now_ms
from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.models import RegisteredModel
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.answers.search import Opened
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.filters import Filter
from submarine_ray.workbench import home_attention, home_overview, home_running, home_visits, parts
from submarine_ray.workbench.clusters import Used, with_use
from submarine_ray.workbench.endpoints import fresh_metrics, with_metrics
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.quick_start import deploy_model, run_template
from submarine_ray.workbench.services import Services

RECENT, RUNNING, FAILED, WAITING = 8, 8, 4, 4
FAILED_SINCE_MS = 14 * 86_400_000
Shown = ParamSpec("Shown")


@dataclass(frozen=True)
class _Found:
    """What the page shows."""

    recent: list[ExperimentSummary]
    total: int
    running: list[ExperimentSummary]
    failed: list[ExperimentSummary]
    waiting: list[ExperimentSummary]
    counts: dict[str, int]
    clusters: list[Used]
    endpoints: list[Endpoint]
    notebooks: list[Notebook]
    models: list[RegisteredModel]
    frameworks: dict[str, int]
    days: dict[str, int]
    opened: Opened

    @property
    def attention(self) -> home_attention.Attention:
        return home_attention.Attention(self.failed, self.waiting, self.notebooks, self.endpoints, self.clusters)


def add(bench: Bench) -> None:
    services = bench.services

    @bench.route("/")
    async def home(request: Request) -> None:
        async with bench.page(request, "Home", "/") as page:
            with parts.row():
                parts.heading("Home", 1).classes("grow")
                parts.button("Run a template", lambda: run_template(services), "play_arrow", "main")
                parts.button("New notebook", lambda: ui.navigate.to("/notebooks?new=1"), "edit_note", "outline")
                parts.button("Deploy a model", lambda: deploy_model(services), "bolt", "outline")
            parts.heading("Running now").classes("section")
            with ui.element("div").classes("pair"):
                running = _Part(ui.element("div"))
                with ui.element("div").classes("stack"):
                    clusters = _Part(ui.element("div"))
                    # On their own: their figures change all the time, and nothing else need be drawn again for that.
                    endpoints = ui.element("div")
            attention, visits, overview = (_Part(ui.element("div").classes("stack")) for _ in range(3))

            def draw(found: _Found) -> None:
                running.show(home_running.draw_experiments, found.running, found.notebooks, found.counts)
                clusters.show(home_running.draw_clusters, found.clusters)
                attention.show(home_attention.draw, found.attention)
                visits.show(home_visits.draw, found.opened, found.recent, found.total)
                overview.show(home_overview.draw, found.counts, found.days, found.frameworks, found.models)

            refresh = await parts.redrawn(ui.element("div"), draw, _look, services, acting_user())
            await parts.redrawn(endpoints, home_running.draw_endpoints, with_metrics, services.serving)
            served = parts.redrawn_later(endpoints, home_running.draw_endpoints, fresh_metrics, services.serving)

            async def look() -> None:
                await refresh()
                await served()

            page.live(look, "experiment-", "notebook-", "endpoint")


class _Part:
    """A part of the page, drawn anew only if what it shows has changed."""

    def __init__(self, place: ui.element) -> None:
        self._place = place
        self._shown: tuple[object, ...] | None = None

    def show(self, draw: Callable[Shown, None], *shown: Shown.args, **options: Shown.kwargs) -> None:
        if shown != self._shown:
            self._shown = shown
            self._place.clear()
            with self._place:
                draw(*shown, **options)


def _look(services: Services, user: str) -> _Found:
    experiments = services.experiments
    recent, total = experiments.summaries(Filter(), 1, RECENT)

    def of(state: str, count: int, since_ms: int | None = None) -> list[ExperimentSummary]:
        return experiments.summaries(Filter(state=state, since_ms=since_ms), 1, count)[0]

    counts = experiments.count_by_state()
    try:
        models = services.models.list_all() if services.tracking.is_ready else []
    except SubmarineError:
        models = []
    return _Found(
        recent=recent,
        total=total,
        running=[*of(ExperimentStatus.RUNNING, RUNNING), *of(ExperimentStatus.CREATED, RUNNING)][:RUNNING],
        failed=of(ExperimentStatus.FAILED, FAILED, now_ms() - FAILED_SINCE_MS),
        waiting=of(ExperimentStatus.ACCEPTED, WAITING),
        counts={status: counts.get(status, 0) for status in ExperimentStatus.SEEN},
        clusters=with_use(services),
        endpoints=services.serving.list_all(),
        notebooks=services.notebooks.list_page(None, None, None)[0],
        models=sorted(models, key=lambda one: one.last_updated_time or "", reverse=True)[:5],
        frameworks=experiments.count_by_framework(),
        days=experiments.count_by_day(14),
        opened=services.search.opened_by(user),
    )
