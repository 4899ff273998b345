"""What happened to an experiment, an endpoint or a shared URL, the newest first."""

from __future__ import annotations

from nicegui import ui

from submarine_ray.spec.answers.events import Event
from submarine_ray.workbench import parts


def draw(happened: list[Event]) -> None:
    with parts.card("Timeline"), ui.element("ol").classes("timeline"):
        for event in reversed(happened):
            with ui.element("li"):
                with parts.row():
                    parts.text(event.reason, "strong")
                    with ui.element("span").classes("quiet small"):
                        if event.count > 1:
                            parts.text(f"{event.count} times, last", "span")
                        parts.ago(event.last_time)
                parts.text(event.message, "p", "quiet")
