"""Workspaces that are saved: opened, saved, copied, shared and deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nicegui import ui
from pydantic import JsonValue

from submarine_ray.core.errors import NotFound
from submarine_ray.saved.kinds import REPORTS
from submarine_ray.saved.kinds import WORKSPACES as KIND
from submarine_ray.saved.service import read
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.panels import Runs, Workspace
from submarine_ray.spec.reports import MOST_BLOCKS, write_block
from submarine_ray.spec.saved import NAME_LENGTH, Audience
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.audience import AUDIENCES, SHORT
from submarine_ray.workbench.panels import address
from submarine_ray.workbench.services import Services


def find(services: Services, id: str) -> Saved | None:
    """A saved workspace; None if there is none that the user may see."""
    try:
        return services.saved.get(id, KIND)
    except NotFound:
        return None


def document(saved: Saved) -> Workspace:
    """What is saved; an empty workspace if a version before this one saved what is refused now."""
    return read(saved, Workspace) or Workspace()


class Bar:
    """The title of the page, and what can be done with the whole of it."""

    def __init__(self, services: Services, shown: Callable[[], Workspace]) -> None:
        self._services = services
        self._shown = shown
        self._saved: Saved | None = None
        with parts.row():
            self._title = parts.heading("Charts", 1).classes("grow")
            self._state = parts.text("", classes="quiet small").props("role=status")
            self._save = parts.button("Save", self._store, "save", "outline")
            self._menu_place = parts.row()

    def show(self, saved: Saved | None, is_changed: bool) -> None:
        """Bring the buttons to a workspace and to whether it differs from what is saved."""
        self._saved = saved
        self._title.set_text(saved.name if saved else "Charts")
        self._state.set_text(_state(saved, is_changed))
        self._save.set_text("Save" if saved is None or saved.is_own else "Save a copy")
        self._save.set_enabled(saved is None or is_changed)
        if not self._menu_place.default_slot.children:
            self._draw_menu()

    def _draw_menu(self) -> None:
        with self._menu_place:
            with parts.button("Open", icon="folder_open"), ui.menu() as opened:
                place = ui.element("div")
            opened.on("before-show", lambda: self._list(place))
            with parts.icon_button("More", "more_vert"), ui.menu():
                ui.menu_item("Save a copy", self._copy)
                ui.menu_item("Rename or share", self._rename)
                ui.menu_item("Create report from these panels", self._report)
                ui.menu_item("Delete workspace", self._delete)

    async def _list(self, place: ui.element) -> None:
        found = await asyncio.to_thread(self._services.saved.list, KIND)
        place.clear()
        with place:
            ui.menu_item("New workspace", lambda: ui.navigate.to(address.charts()))
            for one in found:
                label = one.name if one.is_own else f"{one.name} ({one.owner})"
                ui.menu_item(label, lambda id=one.id: ui.navigate.to(address.charts(saved=id)))

    async def _store(self) -> None:
        if self._saved is None or not self._saved.is_own:
            await self._copy()
        elif await parts.attempt(self._services.saved.change, self._saved.id, kind=KIND, document=self._shown()):
            self._opened(self._saved.id)

    async def _copy(self) -> None:
        before = f"{self._saved.name} (copy)" if self._saved else ""
        with ui.context.client.content:
            named = await ask_name("Save workspace", before, Audience.PRIVATE)
        if named and (
            done := await parts.attempt(self._services.saved.create, KIND, named[0], self._shown(), named[1])
        ):
            self._opened(done.value.id)

    async def _rename(self) -> None:
        if self._saved is None:
            await self._copy()
            return
        with ui.context.client.content:
            named = await ask_name("Rename or share", self._saved.name, self._saved.audience)
        if named and await parts.attempt(
            self._services.saved.change, self._saved.id, kind=KIND, name=named[0], audience=named[1]
        ):
            ui.navigate.reload()

    async def _delete(self) -> None:
        if self._saved is None:
            parts.tell_failure("This workspace has not been saved.")
            return
        with ui.context.client.content:
            sure = await dialogs.confirmed(
                f"Delete {self._saved.name}?", "Its panels are deleted. The experiments are kept.", "Delete"
            )
        if sure and await parts.attempt(self._services.saved.delete, self._saved.id, KIND):
            ui.navigate.to(address.charts())

    async def _report(self) -> None:
        """A report with the same panels of the same runs, to be written on."""
        shown = self._shown()
        with ui.context.client.content:
            named = await ask_name("Create report", self._saved.name if self._saved else "", Audience.PRIVATE)
        if named is None:
            return
        runs = Runs(**shown.model_dump(include={*Runs.model_fields}))
        blocks = (write_block(panel, runs) for panel in shown.panels[:MOST_BLOCKS])
        report: dict[str, JsonValue] = {"text": "\n".join(blocks)}
        if done := await parts.attempt(self._services.saved.create, REPORTS, named[0], report, named[1]):
            ui.navigate.to(addresses.report(done.value.id, edit=True))

    @staticmethod
    def _opened(id: str) -> None:
        ui.navigate.to(address.charts(saved=id))


async def ask_name(title: str, name: str, audience: Audience) -> tuple[str, Audience] | None:
    """Ask for a name and who may see it."""
    with dialogs.dialog(title) as asked:
        field = ui.input("Name", value=name).props(f"outlined dense autofocus maxlength={NAME_LENGTH}")
        choice = ui.radio(AUDIENCES, value=audience)
        parts.text("Viewers see only the runs that they have access to.", "p", "quiet small")

        def send() -> None:
            if text := (field.value or "").strip():
                asked.submit((text, Audience(choice.value)))
            else:
                parts.field_problem(field, "Enter a name.")

        answer: tuple[str, Audience] | None = await dialogs.submitted(asked, "Save", send)
    return answer


def _state(saved: Saved | None, is_changed: bool) -> str:
    if saved is None:
        return ""
    whose = "" if saved.is_own else f"by {saved.owner}"
    return " · ".join(one for one in (whose, SHORT[saved.audience], "unsaved changes" if is_changed else "") if one)
