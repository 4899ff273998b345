"""Home: what runs now, and how full the clusters are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.notebooks import NotebookStatus
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.clusters import Used, health, usage
from submarine_ray.workbench.endpoint import endpoint_link
from submarine_ray.workbench.endpoints import Asked
from submarine_ray.workbench.load import latency, per_second, state

SHOWN = 8


def draw_experiments(
    running: Sequence[ExperimentSummary], notebooks: Sequence[Notebook], counts: Mapping[str, int]
) -> None:
    """The experiments and notebooks that run."""
    open_ones = [one for one in notebooks if one.status == NotebookStatus.RUNNING]
    with parts.card("Experiments and notebooks"):
        if running or open_ones:
            # Plain, as a first page must stand at once: the library's tables compile a template for each column.
            with parts.element("table", aria_label="Running").classes("plain"):
                for one in running:
                    _row(one.name, addresses.experiment(one.experiment_id), one.seen, one.cluster, one.running_time)
                for notebook in open_ones[:SHOWN]:
                    where = notebook.spec.cluster or ""
                    _row(notebook.name, notebook.url, notebook.status.capitalize(), where, None, is_notebook=True)
        else:
            parts.text("Nothing is running.", "p", "quiet")
        number = counts[ExperimentStatus.RUNNING] + counts[ExperimentStatus.CREATED]
        if number > len(running):
            parts.link(f"View all {number:,} running", addresses.experiments(status=ExperimentStatus.RUNNING))


def _row(name: str, place: str, status: str, cluster: str, since: str | None, is_notebook: bool = False) -> None:
    with ui.element("tr"):
        with ui.element("td"):
            parts.link(name, place, new_tab=is_notebook, classes="anywhere")
            if is_notebook:
                parts.text("Notebook", classes="quiet small").style("margin-left: 8px")
        with ui.element("td"):
            parts.badge(status)
        parts.text(cluster, "td", "quiet wide-only")
        with ui.element("td").classes("quiet short"):
            if since:
                parts.taken(since, None)


def draw_clusters(clusters: Sequence[Used]) -> None:
    """How much of each cluster is in use."""
    with parts.card("Clusters"):
        for used in clusters:
            cluster = used.cluster
            with parts.row():
                parts.link(cluster.name, addresses.cluster(cluster.name)).classes("grow")
                parts.badge(health(cluster))
            usage(cluster.resources, used.in_use)


def draw_endpoints(found: Sequence[Asked]) -> None:
    """What is served, and how it is used."""
    with parts.card("Endpoints"):
        for one in found:
            with parts.row():
                endpoint_link(one.endpoint)
                said = f"{per_second(one.rates.requests_per_second)} · {latency(one.rates.latency.p50)}"
                parts.text(said, classes="quiet small")
                parts.badge(one.endpoint.status, state(one.endpoint.status))
        if not found:
            parts.text("No endpoints yet. Deploy a registered model to create one.", "p", "quiet")
