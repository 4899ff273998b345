"""The page of charts: panels over the runs of a filter, as a workspace that can be saved and shared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.panels import MOST_HIDDEN, Panel, Workspace
from submarine_ray.workbench import addresses, assets, parts
from submarine_ray.workbench.layout import Bench, Page
from submarine_ray.workbench.panels import address, defaults, saving
from submarine_ray.workbench.panels.board import Board
from submarine_ray.workbench.panels.controls import Controls
from submarine_ray.workbench.panels.runs import Entry
from submarine_ray.workbench.panels.view import Loaded, load


def add(bench: Bench) -> None:
    @bench.route("/charts")
    async def charts(request: Request) -> None:
        assets.add_panels(bench.services.version)
        async with bench.page(request, "Charts", "/charts", has_charts=True) as page:
            await _Charts(bench, page, request.query_params).draw()


class _Charts:
    def __init__(self, bench: Bench, page: Page, query: Mapping[str, str]) -> None:
        self._services = bench.services
        self._page = page
        self._asked = address.read(query)
        self._wrong = address.wrong_filter(query)
        self._text = query.get("filter", "")
        self._saved: Saved | None = None
        self._base = self._workspace = Workspace()
        self._loaded: Loaded | None = None
        self._fields: list[str] = []

    async def draw(self) -> None:
        await self._open()
        self._bar = saving.Bar(self._services, lambda: self._workspace)
        self._controls = Controls(self._services, self._workspace, self._text, self._change, self._add)
        await self._controls.draw()
        self._fields = self._controls.fields
        if self._wrong:
            self._controls.refuse(self._wrong)
        self._nothing = ui.element("div")
        with ui.element("div").classes("charts-page") as self._page_body:
            with parts.card(classes="runs").props("role=region aria-label=Runs"):
                self._list = ui.element("run-list")
                self._list.on("turned", self._turn, js_handler="(event) => emit(event.detail)")
                self._more = parts.text("", classes="quiet small")
            self._board = Board(self._services, lambda: self._fields, self._arrange)
        self._subscription = self._page.live(self._refresh, "experiment-")
        await self._load()
        if not self._asked.is_arranged and self._saved is None:
            await self._choose_panels()
        self._board.draw(self._workspace.panels)
        self._show()
        self._write()

    async def _open(self) -> None:
        """What the URL asks for; a workspace that is gone is told, and the rest of the URL shown."""
        if self._asked.saved:
            self._saved = await asyncio.to_thread(saving.find, self._services, self._asked.saved)
            if self._saved is None:
                parts.notice("This workspace does not exist, or its owner has not shared it.", bad=True)
            else:
                self._base = saving.document(self._saved)
        self._workspace = self._asked.workspace(self._base)

    async def _choose_panels(self) -> None:
        """The panels of whoever has not chosen any; the URL need not say them."""
        assert self._loaded is not None  # noqa: S101 (draw has loaded)
        runs = [run.run for run in self._loaded.found.runs if run.run]
        panels = await asyncio.to_thread(defaults.panels_for, self._services, runs)
        self._base = self._base.model_copy(update={"panels": panels})
        self._workspace = self._workspace.model_copy(update={"panels": panels})
        await self._load()

    async def _change(self, **said: object) -> None:
        """Show other runs: `said` are fields of the workspace."""
        if "group" in said:
            said["hidden"] = []
        self._workspace = self._workspace.model_copy(update=said)
        await self._load()
        self._show()
        self._write()

    async def _arrange(self, panels: list[Panel]) -> None:
        """Show other panels, or in another order."""
        before, self._workspace = self._workspace, self._workspace.model_copy(update={"panels": panels})
        if _needs(before.panels) != _needs(panels):
            await self._load()
        self._board.draw(panels)
        self._show()
        self._write()

    async def _turn(self, event: GenericEventArguments) -> None:
        """Switch runs or groups on or off."""
        told = event.args
        if not isinstance(told, dict) or not isinstance(told.get("keys"), list) or self._loaded is None:
            return
        known = {entry.key for entry in self._loaded.found.entries} & {str(key) for key in told["keys"]}
        off = [key for key in self._workspace.hidden if key not in known]
        if not told.get("on"):
            off += sorted(known)
        self._workspace = self._workspace.model_copy(update={"hidden": off[-MOST_HIDDEN:]})
        self._show()
        self._write()

    async def _add(self) -> None:
        await self._board.add()

    async def _load(self) -> None:
        self._loaded = await asyncio.to_thread(load, self._services, self._workspace, self._workspace.panels)

    async def _refresh(self) -> None:
        await self._load()
        self._show()

    def _show(self) -> None:
        assert self._loaded is not None  # noqa: S101 (draw has loaded)
        loaded, hidden = self._loaded, set(self._workspace.hidden)
        found = loaded.found
        items = json.dumps([_item(entry, entry.key not in hidden) for entry in found.entries])
        if self._list._props.get("items") != items:
            self._list._props["items"] = items
            self._list.update()
        shown = len(found.runs)
        said = f"The first {shown:,} of {found.total:,} runs" if found.total > shown else ""
        self._more.set_text(said)
        self._more.set_visibility(bool(said))
        self._board.show(loaded, found.without(hidden))
        self._subscription.runs = _running(loaded)
        self._draw_nothing(found.total)

    def _draw_nothing(self, total: int) -> None:
        self._page_body.set_visibility(bool(total))
        self._nothing.clear()
        if total:
            return
        with self._nothing:
            if self._workspace.filter:
                with parts.empty("No experiments match this filter", "Change the filter to see the curves of runs."):
                    parts.button("Clear all filters", lambda: ui.navigate.to(address.charts()), kind="outline")
            else:
                with parts.empty("No experiments yet", "The curves of your experiments appear here side by side."):
                    parts.button("Run a template", lambda: ui.navigate.to("/templates"), kind="main")

    def _write(self) -> None:
        """Bring the URL and the buttons to what is shown."""
        saved = self._saved.id if self._saved else ""
        ui.navigate.history.replace(address.charts(self._workspace, saved, self._base))
        self._bar.show(self._saved, self._workspace != self._base)


def _needs(panels: Collection[Panel]) -> set[str]:
    """What of panels decides which values are read."""
    return {panel.model_copy(update={"id": "p", "width": 6, "height": 3}).model_dump_json() for panel in panels}


def _running(loaded: Loaded) -> tuple[str, ...]:
    running = (run for run in loaded.found.runs if run.row.status == ExperimentStatus.RUNNING)
    return tuple(run.run for run in running if run.run)


def _item(entry: Entry, is_on: bool) -> dict[str, Any]:
    """A line of the list of runs."""
    item: dict[str, Any] = {"key": entry.key, "label": entry.label, "colour": entry.colour, "on": is_on}
    if entry.is_group:
        return item | {"note": parts.counted(len(entry.runs), "run")}
    state = entry.runs[0].row.seen
    note = "" if state == ExperimentStatus.SUCCEEDED else state
    return item | {"href": addresses.experiment(entry.key), "note": note}
