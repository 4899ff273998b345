"""A grid of panels that can be added, edited, moved, resized and deleted."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from submarine_ray.spec.panels import COLUMNS, MOST_PANELS, ROWS, Panel, title_of
from submarine_ray.workbench import parts
from submarine_ray.workbench.panels import editor
from submarine_ray.workbench.panels.runs import Found
from submarine_ray.workbench.panels.view import Loaded, PanelView
from submarine_ray.workbench.placing import place_at
from submarine_ray.workbench.services import Services

_TELLS = "(event) => emit(event.detail)"
Changed = Callable[[list[Panel]], Awaitable[None]]


class Board:
    """Drawn where it is made. `changed` is told the panels after each change by the user, and then `show` called."""

    def __init__(self, services: Services, fields: Callable[[], Sequence[str]], changed: Changed) -> None:
        self._services = services
        self._fields = fields
        self._changed = changed
        self._panels: list[Panel] = []
        self._cards: dict[str, ui.element] = {}
        self._views: dict[str, PanelView] = {}
        self._board = ui.element("panel-board")
        self._board.on("moved", self._moved, js_handler=_TELLS)
        self._board.on("resized", self._resized, js_handler=_TELLS)

    def draw(self, panels: Sequence[Panel]) -> None:
        """Bring the grid to these panels: what is drawn already stays, and keeps its zoom."""
        before = {panel.id: panel for panel in self._panels}
        there = {panel.id for panel in panels}
        for id in [id for id in self._cards if id not in there]:
            self._forget(id)
        for position, panel in enumerate(panels):
            if panel.id in self._cards and _content(before[panel.id]) != _content(panel):
                self._forget(panel.id)
            if panel.id not in self._cards:
                with self._board:
                    self._draw_panel(panel)
            card = self._cards[panel.id]
            _size(card, panel)
            place_at(card, position)
        self._panels = list(panels)

    def show(self, loaded: Loaded, found: Found) -> None:
        """Draw what all panels show of these runs."""
        for view in self._views.values():
            view.show(loaded, found)

    async def add(self) -> None:
        """Ask for a new panel, and put it first, where it is seen."""
        if len(self._panels) >= MOST_PANELS:
            parts.tell_failure(f"A workspace has at most {MOST_PANELS} panels.")
        elif made := await editor.asked(None, self._fields()):
            await self._changed([self._named(made), *self._panels])

    def _forget(self, id: str) -> None:
        self._cards.pop(id).delete()
        del self._views[id]

    def _draw_panel(self, panel: Panel) -> None:
        title = title_of(panel)
        with parts.element("section", data_panel=panel.id).classes("card panel") as card:
            with parts.row("panel-head"):
                draw_handle(f"Move or resize {title or 'text'}: arrow keys move, Shift and arrow keys resize")
                if title:
                    parts.heading(title)._props["title"] = title
                else:
                    parts.row("grow")
                self._draw_menu(panel, title or "text")
            self._views[panel.id] = PanelView(panel, self._services)
            parts.element("div", aria_hidden="true").classes("panel-corner")
        self._cards[panel.id] = card

    def _draw_menu(self, panel: Panel, title: str) -> None:
        id = panel.id
        with parts.icon_button(f"Options of {title}", "more_vert"), ui.menu():
            for label, action in (
                ("Edit", partial(self._edit, id)),
                ("Duplicate", partial(self._duplicate, id)),
                ("Move to the beginning", partial(self._move, id, 0)),
                ("Move to the end", partial(self._move, id, MOST_PANELS)),
                ("Wider", partial(self._grow, id, 2, 0)),
                ("Narrower", partial(self._grow, id, -2, 0)),
                ("Taller", partial(self._grow, id, 0, 1)),
                ("Shorter", partial(self._grow, id, 0, -1)),
                ("Delete", partial(self._delete, id)),
            ):
                ui.menu_item(label, parts.in_page(action))

    async def _edit(self, id: str) -> None:
        if made := await editor.asked(self._find(id), self._fields()):
            await self._replace(id, made)

    async def _duplicate(self, id: str) -> None:
        place = self._place(id)
        copy = self._named(self._panels[place])
        await self._changed([*self._panels[: place + 1], copy, *self._panels[place + 1 :]][:MOST_PANELS])

    async def _delete(self, id: str) -> None:
        before = list(self._panels)
        await self._changed([panel for panel in self._panels if panel.id != id])

        async def back() -> None:
            await self._changed(before)

        title = title_of(next(panel for panel in before if panel.id == id)) or "text"
        parts.offer_undo(f"Deleted the panel {title}", lambda: True, then=back)

    async def _move(self, id: str, to: int) -> None:
        place = self._place(id)
        others = [panel for panel in self._panels if panel.id != id]
        to = min(max(0, to), len(others))
        if to != place:
            others.insert(to, self._panels[place])
            await self._changed(others)

    async def _grow(self, id: str, width: int, height: int) -> None:
        panel = self._find(id)
        await self._resize(id, panel.width + width, panel.height + height)

    async def _resize(self, id: str, width: int, height: int) -> None:
        size = {"width": min(max(3, width), COLUMNS), "height": min(max(1, height), ROWS)}
        await self._replace(id, self._find(id).model_copy(update=size))

    async def _replace(self, id: str, made: Panel) -> None:
        await self._changed([made if panel.id == id else panel for panel in self._panels])

    async def _moved(self, event: GenericEventArguments) -> None:
        told = _told(event, "to")
        if told is not None and self._knows(told["id"]):
            await self._move(told["id"], told["to"])
            if told.get("focus"):
                focus_handle(told["id"])

    async def _resized(self, event: GenericEventArguments) -> None:
        told = _told(event, "width", "height")
        if told is not None and self._knows(told["id"]):
            await self._resize(told["id"], told["width"], told["height"])

    def _knows(self, id: object) -> bool:
        return any(panel.id == id for panel in self._panels)

    def _find(self, id: str) -> Panel:
        return self._panels[self._place(id)]

    def _place(self, id: str) -> int:
        return next(place for place, panel in enumerate(self._panels) if panel.id == id)

    def _named(self, panel: Panel) -> Panel:
        """A copy with an id that no other has."""
        ids = {one.id for one in self._panels}
        number = next(number for number in range(1, MOST_PANELS + 2) if f"p{number}" not in ids)
        return panel.model_copy(update={"id": f"p{number}"})


def focus_handle(id: str) -> None:
    """Give the keyboard back to the handle of a panel that it has moved."""
    script = "(id => document.querySelector(`[data-panel=${CSS.escape(id)}] .panel-handle`)?.focus())"
    ui.run_javascript(f"{script}({json.dumps(id)})")


def draw_handle(label: str) -> None:
    """What a panel is dragged by; `label` says what the keyboard does with it."""
    with parts.element("button", type="button", aria_label=label).classes("panel-handle"):
        parts.text("⠿").props("aria-hidden=true")
        ui.tooltip("Drag to move, or press arrow keys.")


def _content(panel: Panel) -> Panel:
    """A panel but for its size."""
    return panel.model_copy(update={"width": 6, "height": 3})


def _size(card: ui.element, panel: Panel) -> None:
    card.style(f"--w: {panel.width}; --h: {panel.height}")
    card._props.update({"data-width": str(panel.width), "data-height": str(panel.height)})
    card.update()


def _told(event: GenericEventArguments, *numbers: str) -> dict[str, Any] | None:
    """What the browser tells, if it is what it should be."""
    told = event.args
    is_whole = isinstance(told, dict) and isinstance(told.get("id"), str)
    return told if is_whole and all(type(told.get(name)) is int for name in numbers) else None
