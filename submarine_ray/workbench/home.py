"""The first page: what runs, what failed and why, how full the clusters are, and where to begin."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from submarine_ray.access.acting import acting_user
from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.models import RegisteredModel
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.answers.search import Opened
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.filters import Filter
from submarine_ray.workbench import addresses, charts, parts
from submarine_ray.workbench.clusters import Used, health, usage, with_use
from submarine_ray.workbench.endpoint import endpoint_link
from submarine_ray.workbench.endpoints import Asked, fresh_metrics, with_metrics
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.load import latency, per_second, state
from submarine_ray.workbench.quick_start import deploy_model, run_template
from submarine_ray.workbench.services import Services

RECENT = 8
_COLOURS = {
    ExperimentStatus.SUCCEEDED: "#009e73",
    ExperimentStatus.FAILED: "#d55e00",
    ExperimentStatus.STOPPED: "#8a94a3",
    ExperimentStatus.RUNNING: "#0072b2",
    ExperimentStatus.CREATED: "#56b4e9",
    ExperimentStatus.ACCEPTED: "#cc79a7",
}


@dataclass(frozen=True)
class _Found:
    """What the page shows."""

    recent: list[ExperimentSummary]
    total: int
    failed: list[ExperimentSummary]
    counts: dict[str, int]
    clusters: list[Used]
    notebooks: list[Notebook]
    models: list[RegisteredModel]
    frameworks: dict[str, int]
    days: dict[str, int]
    opened: Opened


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
            tiles = ui.element("div").classes("tiles")
            with ui.element("div").classes("pair"):
                left = ui.element("div")
                with ui.element("div").classes("stack"):
                    # On their own: their figures change all the time, and nothing else need be drawn again for that.
                    endpoints = ui.element("div")
                    right = ui.element("div").classes("stack")

            def draw(found: _Found) -> None:
                _draw_charts(found)
                for place, fill in ((left, _draw_recent), (right, _draw_rest)):
                    place.clear()
                    with place:
                        fill(found)

            refresh = await parts.redrawn(tiles, draw, _look, services, acting_user())
            await parts.redrawn(endpoints, _draw_endpoints, with_metrics, services.serving)
            served = parts.redrawn_later(endpoints, _draw_endpoints, fresh_metrics, services.serving)

            async def look() -> None:
                await refresh()
                await served()

            page.live(look, "experiment-", "notebook-", "endpoint")


def _look(services: Services, user: str) -> _Found:
    recent, total = services.experiments.summaries(Filter(), 1, RECENT)
    failed, _ = services.experiments.summaries(Filter(state=ExperimentStatus.FAILED), 1, 4)
    counts = services.experiments.count_by_state()
    try:
        models = services.models.list_all() if services.tracking.is_ready else []
    except SubmarineError:
        models = []
    return _Found(
        recent=recent,
        total=total,
        failed=failed,
        counts={status: counts.get(status, 0) for status in _COLOURS},
        clusters=with_use(services),
        notebooks=services.notebooks.list_page(None, None, None)[0],
        models=sorted(models, key=lambda one: one.last_updated_time or "", reverse=True)[:5],
        frameworks=services.experiments.count_by_framework(),
        days=services.experiments.count_by_day(14),
        opened=services.search.opened_by(user),
    )


def _draw_charts(found: _Found) -> None:
    with parts.card("Experiments by status"):
        counts = {status: number for status, number in found.counts.items() if number}
        _chart(counts, charts.pie(counts, _COLOURS), "Experiments by status")
    with parts.card("Created per day"):
        _chart(found.days, charts.bars(found.days), "Experiments created per day, last 14 days")
    with parts.card("Frameworks"):
        _chart(found.frameworks, charts.bars(found.frameworks, horizontal=True), "Experiments by framework")
    with parts.card("Clusters"):
        _draw_clusters(found.clusters)


def _draw_recent(found: _Found) -> None:
    with parts.card("Recent experiments"):
        if found.recent:
            # Plain, as a first page must stand at once: the library's tables compile a template for each column.
            with parts.element("table", aria_label="Recent experiments").classes("plain"):
                for one in found.recent:
                    _draw_row(one)
            parts.link(f"View all ({found.total:,})", "/experiments")
        else:
            with parts.empty("No experiments yet", "Run a template to create the first one."):
                parts.button("Run a template", lambda: ui.navigate.to("/templates"), kind="outline")


def _chart(values: dict[str, int], options: charts.Options, label: str) -> None:
    if any(values.values()):
        charts.later(options, label, "chart low")
    else:
        parts.text("No data yet.", "p", "quiet")


def _draw_clusters(clusters: list[Used]) -> None:
    for used in clusters:
        cluster = used.cluster
        with parts.row():
            parts.link(cluster.name, addresses.cluster(cluster.name)).classes("grow")
            parts.badge(health(cluster))
        usage(cluster.resources, used.in_use)


def _draw_failed(failed: list[ExperimentSummary]) -> None:
    with parts.card("Recent failures"):
        if not failed:
            parts.text("No failures.", "p", "quiet")
        for one in failed:
            with ui.element("div"):
                with parts.row():
                    parts.link(one.name, addresses.experiment(one.experiment_id)).classes("grow anywhere")
                    with ui.element("span").classes("quiet small"):
                        parts.ago(one.finished_time or one.accepted_time)
                parts.text(one.message or one.reason or "", "p", "quiet small anywhere")
                place = addresses.experiment(one.experiment_id, tab="logs", show="failure")
                parts.link("Show in the log", place, classes="small")


def _draw_endpoints(found: list[Asked]) -> None:
    with parts.card("Endpoints"):
        for one in found:
            with parts.row():
                endpoint_link(one.endpoint)
                said = f"{per_second(one.rates.requests_per_second)} · {latency(one.rates.latency.p50)}"
                parts.text(said, classes="quiet small")
                parts.badge(one.endpoint.status, state(one.endpoint.status))
        if not found:
            parts.text("No endpoints yet. Deploy a registered model to create one.", "p", "quiet")


def _draw_row(one: ExperimentSummary) -> None:
    with ui.element("tr"):
        with ui.element("td"):
            parts.link(one.name, addresses.experiment(one.experiment_id))
        with ui.element("td"):
            parts.badge(one.seen)
        parts.text(one.owner or "", "td", "quiet wide-only")
        with ui.element("td").classes("quiet"):
            parts.ago(one.accepted_time)
        with ui.element("td").classes("quiet wide-only"):
            parts.taken(one.running_time, one.finished_time)


def _draw_rest(found: _Found) -> None:
    for title, things, none in (
        ("Favourites", found.opened.starred, "Mark something with its star, and it appears here."),
        ("Recently opened", found.opened.recent, "What you open appears here."),
    ):
        with parts.card(title):
            for one in things:
                parts.link(one.name, one.path, classes="anywhere")
            if not things:
                parts.text(none, "p", "quiet")
    _draw_failed(found.failed)
    with parts.card("Recent models"):
        for model in found.models:
            with parts.row():
                parts.link(model.name, addresses.model(model.name)).classes("grow anywhere")
                with ui.element("span").classes("quiet small"):
                    parts.ago(model.last_updated_time)
        if not found.models:
            parts.text("No models yet. Register one from a finished experiment's page.", "p", "quiet")
    with parts.card("Notebooks"):
        for notebook in found.notebooks[:5]:
            with parts.row():
                parts.link(notebook.name, "/notebooks").classes("grow anywhere")
                parts.badge(notebook.status.capitalize())
        if not found.notebooks:
            parts.text("No notebooks yet. A notebook is JupyterLab on a cluster, in a browser tab.", "p", "quiet")
