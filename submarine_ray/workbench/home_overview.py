"""Home: how many experiments there are of what, and the newest models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from submarine_ray.spec.answers.models import RegisteredModel
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.workbench import addresses, charts, parts

_COLOURS = {
    ExperimentStatus.SUCCEEDED: "#009e73",
    ExperimentStatus.FAILED: "#d55e00",
    ExperimentStatus.STOPPED: "#8a94a3",
    ExperimentStatus.RUNNING: "#0072b2",
    ExperimentStatus.CREATED: "#56b4e9",
    ExperimentStatus.ACCEPTED: "#cc79a7",
}


def draw(
    counts: Mapping[str, int], days: dict[str, int], frameworks: dict[str, int], models: Sequence[RegisteredModel]
) -> None:
    """Charts and models."""
    parts.heading("Overview").classes("section")
    with ui.element("div").classes("tiles"):
        with parts.card("Experiments by status"):
            there = {status: counts[status] for status in _COLOURS if counts[status]}
            _chart(there, charts.pie(there, _COLOURS), "Experiments by status")
        with parts.card("Created per day"):
            _chart(days, charts.bars(days), "Experiments created per day, last 14 days")
        with parts.card("Frameworks"):
            _chart(frameworks, charts.bars(frameworks, horizontal=True), "Experiments by framework")
        with parts.card("Recent models"):
            for model in models:
                with parts.row():
                    parts.link(model.name, addresses.model(model.name)).classes("grow anywhere")
                    with ui.element("span").classes("quiet small"):
                        parts.ago(model.last_updated_time)
            if not models:
                parts.text("No models yet. Register one from a finished experiment's page.", "p", "quiet")


def _chart(values: dict[str, int], options: charts.Options, label: str) -> None:
    if any(values.values()):
        charts.later(options, label, "chart low")
    else:
        parts.text("No data yet.", "p", "quiet")
