"""A report as it is read: its text, and its panels drawn from the runs that the reader may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from nicegui import ui

from submarine_ray.spec.panels import Panel, Runs, Workspace, title_of
from submarine_ray.spec.reports import Block, WrongBlock, parts
from submarine_ray.workbench import markdown
from submarine_ray.workbench import parts as widgets
from submarine_ray.workbench.panels import address
from submarine_ray.workbench.panels.view import Loaded, PanelView, load
from submarine_ray.workbench.services import Services


@dataclass
class _Drawn:
    """Panels of the same runs: they are read together."""

    runs: Runs
    views: list[PanelView] = field(default_factory=list)
    counts: list[ui.label] = field(default_factory=list)


class ReportView:
    """Drawn where it is made. `show` draws another text; `refresh` brings the panels up to date."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._place = ui.element("article").classes("report")
        self._drawn: dict[str, _Drawn] = {}
        self._text: str | None = None

    async def show(self, text: str) -> None:
        """Draw a report's text, and its panels."""
        if text == self._text:
            return
        self._text = text
        self._place.clear()
        self._drawn = {}
        with self._place:
            for part in parts(text):
                match part:
                    case str():
                        markdown.draw(part)
                    case WrongBlock(text=block, why=why):
                        widgets.notice(f"This panel cannot be drawn: {why}", bad=True)
                        widgets.block(block, "Panel")
                    case Block(panel=panel, runs=runs):
                        self._draw_panel(panel, runs)
        await self.refresh()

    async def refresh(self) -> None:
        """Read the runs of all panels again, and draw them."""
        drawn = list(self._drawn.values())
        panels = [[view.panel for view in one.views] for one in drawn]
        loaded = await asyncio.gather(
            *(asyncio.to_thread(load, self._services, one.runs, some) for one, some in zip(drawn, panels, strict=True))
        )
        for one, found in zip(drawn, loaded, strict=True):
            if list(self._drawn.values()) == drawn and not self._place.is_deleted:
                _show(one, found)

    @property
    def runs(self) -> Sequence[Runs]:
        """Which runs it shows."""
        return [one.runs for one in self._drawn.values()]

    def _draw_panel(self, panel: Panel, runs: Runs) -> None:
        drawn = self._drawn.setdefault(json.dumps(runs.model_dump()), _Drawn(runs))
        title = title_of(panel)
        with widgets.card(classes="panel").style(f"--h: {panel.height}"):
            with widgets.row("panel-head"):
                if title:
                    widgets.heading(title, 3).classes("grow")
                else:
                    widgets.row("grow")
                drawn.counts.append(ui.label().classes("quiet small"))
                if panel.kind != "text":
                    shown = Workspace(**runs.model_dump(), panels=[panel])
                    widgets.link("Open in Charts", address.charts(shown), classes="small")
            drawn.views.append(PanelView(panel, self._services))


def _show(drawn: _Drawn, loaded: Loaded) -> None:
    shown, total = len(loaded.found.runs), loaded.found.total
    said = widgets.counted(total, "run") if shown == total else f"{shown:,} of {total:,} runs"
    for view, count in zip(drawn.views, drawn.counts, strict=True):
        count.set_text("" if view.panel.kind == "text" else said)
        view.show(loaded, loaded.found)
