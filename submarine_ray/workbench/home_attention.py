"""Home: what needs the user. Failures, what waits and why, endpoints and clusters that are not well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.notebooks import NotebookStatus
from submarine_ray.spec.serving import EndpointStatus
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.clusters import Used, health
from submarine_ray.workbench.load import state


@dataclass(frozen=True)
class Attention:
    """What may need the user."""

    failed: Sequence[ExperimentSummary]
    accepted: Sequence[ExperimentSummary]
    notebooks: Sequence[Notebook]
    endpoints: Sequence[Endpoint]
    clusters: Sequence[Used]

    @property
    def waiting(self) -> list[ExperimentSummary]:
        """Those that say what they wait for; the others have only just come."""
        return [one for one in self.accepted if one.message]

    @property
    def waiting_notebooks(self) -> list[Notebook]:
        return [one for one in self.notebooks if one.status == NotebookStatus.WAITING]

    @property
    def failed_notebooks(self) -> list[Notebook]:
        return [one for one in self.notebooks if one.status == NotebookStatus.FAILED]

    @property
    def unwell(self) -> list[Endpoint]:
        return [one for one in self.endpoints if one.status == EndpointStatus.FAILED]

    @property
    def unhealthy(self) -> list[Used]:
        return [one for one in self.clusters if one.cluster.healthy is False]


def draw(found: Attention) -> None:
    """Only what there is; if that is nothing, a line that says so."""
    parts.heading("Needs attention").classes("section")
    with ui.element("div").classes("tiles wide"):
        if found.failed or found.failed_notebooks:
            _draw_failed(found)
        if found.waiting or found.waiting_notebooks:
            _draw_waiting(found)
        if found.unwell or found.unhealthy:
            _draw_unwell(found)
        elif not (found.failed or found.failed_notebooks or found.waiting or found.waiting_notebooks):
            parts.text("Nothing needs your attention.", "p", "quiet")


def _draw_failed(found: Attention) -> None:
    with parts.card("Recent failures"):
        for one in found.failed:
            place = addresses.experiment(one.experiment_id)
            with ui.element("div"):
                _head(one.name, place, when=one.finished_time or one.accepted_time)
                parts.text(one.message or one.reason or "", "p", "quiet small anywhere lines")
                log = addresses.experiment(one.experiment_id, tab="logs", show="failure")
                parts.link("Show in the log", log, classes="small")
        for notebook in found.failed_notebooks:
            with ui.element("div"):
                _head(notebook.name, "/notebooks", "Notebook failed")
                parts.text(notebook.reason, "p", "quiet small anywhere lines")


def _draw_waiting(found: Attention) -> None:
    with parts.card("Waiting"):
        for one in found.waiting:
            with ui.element("div"):
                _head(one.name, addresses.experiment(one.experiment_id), when=one.accepted_time)
                parts.text(one.message or "", "p", "quiet small anywhere lines")
        for notebook in found.waiting_notebooks:
            with ui.element("div"):
                _head(notebook.name, "/notebooks", when=notebook.created_time)
                parts.text(notebook.reason, "p", "quiet small anywhere lines")


def _draw_unwell(found: Attention) -> None:
    with parts.card("Endpoints and clusters"):
        for one in found.unwell:
            with ui.element("div"):
                _head(one.name, addresses.endpoint(one.model_name, one.model_version), one.status, state(one.status))
                parts.text(one.message or "", "p", "quiet small anywhere lines")
        for used in found.unhealthy:
            with ui.element("div"):
                _head(used.cluster.name, addresses.cluster(used.cluster.name), health(used.cluster))
                parts.text(used.cluster.message or "", "p", "quiet small anywhere lines")


def _head(name: str, place: str, status: str | None = None, colour: str | None = None, when: str | None = None) -> None:
    with parts.row():
        parts.link(name, place).classes("grow anywhere")
        if status:
            parts.badge(status, colour)
        if when:
            with ui.element("span").classes("quiet small"):
                parts.ago(when)
