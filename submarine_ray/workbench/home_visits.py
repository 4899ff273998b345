"""Home: where the user was. Favourites, what was opened last, and the newest experiments."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.answers.search import Found, Opened
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import addresses, parts

SHOWN = 10
_KINDS = {ObjectKind.MODEL_VERSION: "version"}


def draw(opened: Opened, recent: Sequence[ExperimentSummary], total: int) -> None:
    """Everything that leads back."""
    parts.heading("Pick up where you left off").classes("section")
    with ui.element("div").classes("pair"):
        with ui.element("div"):
            _draw_recent(recent, total)
        with ui.element("div").classes("stack"):
            with parts.card("Favourites"):
                _draw_things(opened.starred, "Click the star beside a name to add it to your favourites.")
            with parts.card("Recently opened"):
                _draw_things(opened.recent, "Pages that you open are listed here.")


def _draw_things(things: Sequence[Found], none: str) -> None:
    for one in things[:SHOWN]:
        with parts.row():
            parts.link(one.name, one.path).classes("grow anywhere")
            if one.status:
                parts.badge(one.status)
            parts.text(_KINDS.get(one.kind, one.kind).capitalize(), classes="quiet small")
    if len(things) > SHOWN:
        parts.text(f"{len(things) - SHOWN} more: press Ctrl-K.", "p", "quiet small")
    if not things:
        parts.text(none, "p", "quiet")


def _draw_recent(recent: Sequence[ExperimentSummary], total: int) -> None:
    with parts.card("Recent experiments"):
        if recent:
            with parts.element("table", aria_label="Recent experiments").classes("plain"):
                for one in recent:
                    _draw_row(one)
            parts.link(f"View all ({total:,})", "/experiments")
        else:
            with parts.empty("No experiments yet", "Run a template to create the first one."):
                parts.button("Run a template", lambda: ui.navigate.to("/templates"), kind="outline")


def _draw_row(one: ExperimentSummary) -> None:
    with ui.element("tr"):
        with ui.element("td"):
            parts.link(one.name, addresses.experiment(one.experiment_id), classes="anywhere")
        with ui.element("td"):
            parts.badge(one.seen)
        parts.text(one.owner or "", "td", "quiet wide-only")
        with ui.element("td").classes("quiet short"):
            parts.ago(one.accepted_time)
        with ui.element("td").classes("quiet wide-only short"):
            parts.taken(one.running_time, one.finished_time)
