"""Where things run: health, load, and a check that says how to mend what is wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.answers.clusters import Cluster
from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.filters import Filter
from submarine_ray.spec.places import ObjectKind
from submarine_ray.spec.quantities import Resources
from submarine_ray.workbench import addresses, opened, parts
from submarine_ray.workbench.endpoint import endpoint_link
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.services import Services

SHOWN = 20


@dataclass(frozen=True)
class Used:
    """A cluster, how much of it the platform's own jobs hold, and whether Ray's dashboard can be opened."""

    cluster: Cluster
    in_use: Resources
    has_dashboard: bool


@dataclass(frozen=True)
class _Found:
    """A cluster, and all that the platform has on it."""

    used: Used
    running: tuple[list[ExperimentSummary], int]
    waiting: tuple[list[ExperimentSummary], int]
    notebooks: list[Notebook]
    endpoints: list[Endpoint]


def health(cluster: Cluster) -> str:
    """A cluster's health in a word."""
    return {True: "Healthy", False: "Unhealthy", None: "Unknown"}[cluster.healthy]


def add(bench: Bench) -> None:
    services = bench.services

    @bench.route("/clusters")
    async def all_clusters(request: Request) -> None:
        async with bench.page(request, "Clusters", "/clusters") as page:
            parts.heading("Clusters", 1)
            content = ui.element("div").classes("tiles")
            page.live(await parts.redrawn(content, _draw_cards, with_use, services), "experiment-", "notebook-")

    @bench.route("/clusters/{name}")
    async def cluster(request: Request, name: str) -> None:
        async with bench.page(request, name, "/clusters") as page:
            await asyncio.to_thread(services.clusters.get, name)
            opened.note(services, ObjectKind.CLUSTER, name)
            parts.link("Clusters", "/clusters", classes="quiet")
            parts.heading(name, 1)
            with ui.element("div").classes("pair"):
                content = ui.element("div").classes("stack")
                page.live(
                    await parts.redrawn(content, _draw_cluster, _look, services, name),
                    "experiment-", "notebook-", "endpoint",
                )  # fmt: skip
                with parts.card("Check"):
                    said = "Tests everything that the cluster needs, and suggests a fix for each problem."
                    parts.text(said, "p", "quiet")
                    with parts.row():
                        begin = parts.button("Check now", kind="main")
                    report = ui.element("div").classes("stack")
                    begin.on_click(lambda: _check(services, name, begin, report))


def with_use(services: Services) -> list[Used]:
    """All clusters, and how much of each the platform's own jobs hold."""
    return [_with_use(services, one) for one in services.clusters.list_all()]


def _with_use(services: Services, cluster: Cluster) -> Used:
    has_dashboard = services.clusters.capabilities(cluster.name).has_dashboard
    return Used(cluster, services.admission.in_use(cluster.name), has_dashboard)


def _look(services: Services, name: str) -> _Found:
    used = _with_use(services, services.clusters.get(name))
    running, created, accepted = (
        services.experiments.summaries(Filter(status=status, cluster=name), 1, SHOWN)
        for status in (ExperimentStatus.RUNNING, ExperimentStatus.CREATED, ExperimentStatus.ACCEPTED)
    )
    notebooks = services.notebooks.list_page(None, None, None)[0]
    return _Found(
        used,
        running,
        # Created ones are with the cluster already, accepted ones wait for room.
        (created[0] + accepted[0], created[1] + accepted[1]),
        [one for one in notebooks if (one.spec.cluster or services.clusters.default) == name],
        [one for one in services.serving.list_all() if one.cluster == name],
    )


def _draw_cluster(found: _Found) -> None:
    name = found.used.cluster.name
    _draw_card(found.used)
    running, count = found.running
    waiting, waiting_count = found.waiting
    _draw_jobs(f"Running ({count:,})", running, name, ExperimentStatus.RUNNING)
    _draw_jobs(f"Waiting ({waiting_count:,})", waiting, name, "")
    with parts.card("Endpoints and notebooks"):
        for one in found.endpoints:
            with parts.row():
                endpoint_link(one)
                parts.text(f"endpoint, {parts.counted(one.replicas, 'replica')}", classes="quiet small")
        for notebook in found.notebooks:
            with parts.row():
                parts.link(notebook.name, "/notebooks").classes("grow anywhere")
                parts.text("notebook", classes="quiet small")
        if not found.endpoints and not found.notebooks:
            parts.text("No endpoints or notebooks.", "p", "quiet")


def _draw_jobs(title: str, jobs: list[ExperimentSummary], cluster: str, status: str) -> None:
    with parts.card(title):
        for one in jobs:
            with parts.row():
                parts.link(one.name, addresses.experiment(one.experiment_id)).classes("grow anywhere")
                parts.text(one.owner or "", classes="quiet small")
                parts.ago(one.accepted_time)
        if not jobs:
            parts.text("None.", "p", "quiet")
        parts.link("View all on this cluster", addresses.experiments(cluster=cluster, status=status))


def _draw_cards(found: list[Used]) -> None:
    for one in found:
        _draw_card(one)


def _draw_card(used: Used) -> None:
    one = used.cluster
    with parts.card():
        with parts.row():
            parts.link(one.name, addresses.cluster(one.name)).classes("grow anywhere").style("font-weight: 600")
            parts.badge(health(one))
        if one.message:
            parts.notice(one.message[:1].upper() + one.message[1:], bad=one.healthy is False)
        parts.facts(
            [
                ("Kind", " ".join(filter(None, (one.kind, one.mode)))),
                ("Namespace", one.namespace),
                ("Nodes", str(one.nodes) if one.nodes is not None else None),
                ("Last seen", lambda: parts.ago(one.observed_time)),
            ]
        )
        usage(one.resources, used.in_use)
        if used.has_dashboard:
            parts.link("Ray dashboard", addresses.dashboard(one.name), new_tab=True)


def usage(resources: dict[str, float | None] | None, in_use: Resources) -> None:
    """How much of a cluster the platform's own jobs hold."""
    for label, total, used, unit in _sizes(resources or {}, in_use):
        with parts.row():
            parts.text(label, classes="quiet small grow")
            parts.text(f"{used:.4g} of {total:.4g}{unit}", classes="small")
        meter = parts.element(
            "div", role="meter", aria_label=label, aria_valuenow=f"{used:.4g}", aria_valuemax=f"{total:.4g}"
        )
        with meter.classes("meter"):
            ui.element("div").style(f"width: {min(100.0, 100 * used / total):.1f}%")


def _sizes(resources: dict[str, float | None], in_use: Resources) -> list[tuple[str, float, float, str]]:
    sizes = (
        ("CPUs in use", resources.get("cpu"), in_use.cpu, 1, ""),
        ("Memory in use", resources.get("memory"), in_use.memory, 2**30, " GiB"),
        ("GPUs in use", resources.get("gpu"), in_use.gpu, 1, ""),
    )
    return [(label, total / size, used / size, unit) for label, total, used, size, unit in sizes if total]


async def _check(services: Services, name: str, begin: ui.button, report: ui.element) -> None:
    begin.disable()
    report.clear()
    with report:
        ui.spinner().props('role=status aria-label="Checking"')
    found = await parts.attempt(services.clusters.waiting.ask, name, services.clusters.check, name)
    report.clear()
    begin.enable()
    if found is None:
        return
    with report:
        for one in found.value:
            with ui.element("div"):
                with parts.row():
                    parts.text(one.check).style("font-weight: 600")
                    parts.badge({True: "OK", False: "Failed", None: "Unknown"}[one.ok])
                parts.text(one.message, "p", "quiet anywhere")
                if one.fix:
                    parts.text(one.fix, "p", "anywhere")
