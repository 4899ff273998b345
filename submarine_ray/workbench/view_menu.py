"""The menu of saved views of the table of experiments: one's own, and those shared with the team."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from submarine_ray.core.errors import NotFound
from submarine_ray.saved.kinds import DEFAULT_VIEW, VIEWS
from submarine_ray.saved.service import SavedService, read
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.saved import NAME_LENGTH, Audience
from submarine_ray.spec.views import DefaultView, ExperimentView
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.audience import AUDIENCES, SHORT
from submarine_ray.workbench.table_view import ALL, View

_ALL_NAME = "All experiments"


@dataclass(frozen=True)
class Opened:
    """The view that a page opens with, the saved view that it is or began with, and what there is to choose from."""

    view: View
    saved: Saved | None
    known: tuple[Saved, ...]
    default: Saved | None


def opened(saved: SavedService, asked: View) -> Opened:
    """A URL that names a saved view and nothing else opens it; one that says nothing opens the user's default view."""
    known = tuple(saved.list(VIEWS))
    by_id = {one.id: one for one in known}
    default = next((one for one in saved.list(DEFAULT_VIEW) if one.is_own), None)
    chosen = read(default, DefaultView) if default else None
    named = asked.view
    if asked == View() and chosen and chosen.view in by_id:
        named = chosen.view
    found = by_id.get(named)
    if named and named != ALL and found is None:
        raise NotFound("This view was deleted, or is not shared with you.")
    view = asked
    if found and asked.is_bare and (document := read(found, ExperimentView)):
        view = View.of_saved(document, found.id).changed()
    return Opened(view, found, known, default if chosen and chosen.view in by_id else None)


class ViewMenu:
    """A button with the name of the view, and its menu. `state` tells what the table shows now."""

    def __init__(self, saved: SavedService, page: Opened, state: Callable[[], View]) -> None:
        self._saved = saved
        self._known = list(page.known)
        self._current = page.saved
        self._default = page.default
        self._state = state
        self._button = parts.button("", icon="bookmarks", kind="outline").classes("views")
        self._button._props["aria-haspopup"] = "menu"
        with self._button:
            self._menu = ui.menu().props('auto-close max-height="70vh" aria-label="Views"').classes("view-menu")
        self.show()

    def show(self) -> None:
        """Bring the button and the menu up to date with the table."""
        name = self._current.name if self._current else _ALL_NAME
        self._button.set_text(f"{name} (changed)" if self._is_changed else name)
        self._menu.clear()
        with self._menu:
            self._draw()

    @property
    def is_saved(self) -> bool:
        """Whether the table shows a saved view as it was saved."""
        return self._current is not None and not self._is_changed

    @property
    def _is_changed(self) -> bool:
        if self._current is None:
            return False
        return read(self._current, ExperimentView) != self._state().document

    @property
    def _default_id(self) -> str | None:
        found = read(self._default, DefaultView) if self._default else None
        return found.view if found else None

    def _draw(self) -> None:
        self._item(_ALL_NAME, addresses.experiments(view=ALL) if self._default else addresses.experiments())
        for title, own in (("My views", True), ("Team views", False)):
            found = [one for one in self._known if one.is_own is own]
            if found:
                ui.separator()
                _title(title)
            for one in found:
                self._item(one.name, addresses.experiments(view=one.id), self._about(one))
        ui.separator()
        current = self._current
        if current and current.is_own and self._is_changed:
            self._action("Save changes", "save", self._save)
        if current and self._is_changed:
            self._action("Discard changes", "undo", lambda: ui.navigate.to(addresses.experiments(view=current.id)))
        self._action("Save as a new view…", "add", self._save_as)
        if current is None:
            return
        is_default = current.id == self._default_id
        label = "Remove as default" if is_default else "Set as default"
        self._action(label, "push_pin", lambda: self._set_default(None if is_default else current.id))
        if current.is_own:
            self._action("Rename or share…", "edit", self._edit)
            self._action("Delete view…", "delete", self._delete)

    def _about(self, one: Saved) -> str:
        said = [one.owner] if not one.is_own else [SHORT[one.audience]] if one.audience is Audience.TEAM else []
        return ", ".join([*said, *(["default"] if one.id == self._default_id else [])])

    def _item(self, name: str, url: str, about: str = "") -> None:
        is_current = name == (self._current.name if self._current else _ALL_NAME)
        with ui.menu_item(on_click=lambda: ui.navigate.to(url)) as item, ui.element("div").classes("view"):
            parts.text(name, classes="anywhere")
            if about:
                parts.text(about, classes="quiet small")
        item._props["role"] = "menuitem"
        if is_current:
            item._props["aria-current"] = "true"

    def _action(self, label: str, icon: str, act: Callable[[], object]) -> None:
        with ui.menu_item(on_click=parts.in_page(act)) as item:
            item._props["role"] = "menuitem"
            ui.icon(icon).classes("quiet")
            parts.text(label)

    async def _save(self) -> None:
        if self._current is None:
            return
        done = await parts.attempt(
            self._saved.change, self._current.id, document=self._state().document.model_dump(by_alias=True)
        )
        if done:
            self._replace(done.value)
            ui.navigate.history.replace(addresses.experiments(view=done.value.id))
            parts.tell(f"Saved {done.value.name}")

    async def _save_as(self) -> None:
        name = self._current.name if self._current and not self._current.is_own else ""
        document = self._state().document
        asked = await _form("Save as a new view", name, Audience.PRIVATE)
        while asked is not None:
            done = await parts.attempt(self._saved.create, VIEWS, asked[0], document, asked[1])
            if done:
                ui.navigate.to(addresses.experiments(view=done.value.id))
                return
            asked = await _form("Save as a new view", *asked)

    async def _edit(self) -> None:
        if (current := self._current) is None:
            return
        asked = await _form("Rename or share", current.name, current.audience)
        while asked is not None:
            done = await parts.attempt(self._saved.change, current.id, name=asked[0], audience=asked[1])
            if done:
                self._replace(done.value)
                parts.tell(f"Saved {done.value.name}")
                return
            asked = await _form("Rename or share", *asked)

    async def _delete(self) -> None:
        if (current := self._current) is None:
            return
        shared = " Links to it no longer open." if current.audience is Audience.TEAM else ""
        question, consequence = f"Delete the view {current.name}?", f"No experiment changes.{shared}"
        is_sure = await dialogs.confirmed(question, consequence, "Delete")
        if is_sure and await parts.attempt(self._saved.delete, current.id):
            ui.navigate.to(addresses.experiments())

    async def _set_default(self, view: str | None) -> None:
        done = await parts.attempt(self._keep_default, view)
        if done:
            self._default = done.value
            self.show()
            parts.tell("This view is your default" if view else "The default is all experiments")

    def _keep_default(self, view: str | None) -> Saved | None:
        before = [one for one in self._saved.list(DEFAULT_VIEW) if one.is_own]
        for one in before:
            with suppress(NotFound):
                self._saved.delete(one.id)
        return self._saved.create(DEFAULT_VIEW, "default", DefaultView(view=view)) if view else None

    def _replace(self, saved: Saved) -> None:
        self._current = saved
        self._known = [saved if one.id == saved.id else one for one in self._known]
        self.show()


def _title(text: str) -> TextElement:
    made = parts.text(text, "div", "quiet small menu-title")
    made._props["role"] = "presentation"
    return made


async def _form(title: str, name: str, audience: Audience) -> tuple[str, Audience] | None:
    with dialogs.dialog(title) as asked:
        field = ui.input("Name", value=name).props(f"outlined dense autofocus maxlength={NAME_LENGTH}").classes("full")
        who = ui.radio({str(one): said for one, said in AUDIENCES.items()}, value=str(audience))
        parts.text("A view has filters, columns, order, pins and groups. Only you can change it.", "p", "quiet small")

        def send() -> None:
            said = (field.value or "").strip()
            if said:
                asked.submit((said, Audience(who.value)))
            else:
                parts.field_problem(field, "Enter a name.")

        field.on("keydown.enter", send)
        answer: tuple[str, Audience] | None = await dialogs.submitted(asked, "Save", send)
    return answer


async def open_view(saved: SavedService, asked: View) -> Opened:
    """As `opened`, off the event loop."""
    return await asyncio.to_thread(opened, saved, asked)
