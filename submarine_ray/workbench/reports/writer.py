"""A report as it is written: its text with a preview, and panels inserted from a form."""

from __future__ import annotations

import asyncio

from nicegui import ui
from nicegui.events import GenericEventArguments, ValueChangeEventArguments
from pydantic import JsonValue

from submarine_ray.saved.kinds import REPORTS
from submarine_ray.saved.service import read
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.reports import MOST_LENGTH, Report, write_block
from submarine_ray.workbench import parts
from submarine_ray.workbench.leaving import Edits
from submarine_ray.workbench.markdown import CHANGED_MEANWHILE, HINT
from submarine_ray.workbench.panels import editor
from submarine_ray.workbench.reports.view import ReportView
from submarine_ray.workbench.services import Services


class Writer:
    """The text on the left, and on the right what readers will see."""

    def __init__(self, services: Services, saved: Saved, text: str, address: str) -> None:
        self._services = services
        self._saved = saved
        self._text = self._before = text
        self._address = address
        self._cursor = len(text)
        self._edits = Edits()

    async def draw(self) -> ReportView:
        """Draw both; answers the preview."""
        with parts.row():
            parts.heading(self._saved.name, 1).classes("grow")
            parts.button("Insert panel", self._insert, "add_chart", "outline")
            parts.button("Cancel", lambda: self._edits.leave(self._address))
            parts.button("Save", self._save, "save", "main")
        with ui.element("div").classes("report-edit"):
            with parts.card():
                self._field = ui.textarea("Text in Markdown", value=self._text, on_change=self._changed)
                self._field.props(f"outlined autogrow debounce=400 maxlength={MOST_LENGTH}")
                self._field._props["hint"] = HINT
                self._field.on("blur", self._left, js_handler="(event) => emit(event.target.selectionStart)")
            self._preview = ReportView(self._services)
        await self._preview.show(self._text)
        self._edits.note(self._text)
        return self._preview

    async def _changed(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._text = event.value or ""
        self._edits.note(self._text)
        await self._preview.show(self._text)

    def _left(self, event: GenericEventArguments) -> None:
        if type(event.args) is int:
            self._cursor = event.args

    async def _insert(self) -> None:
        fields = await asyncio.to_thread(self._services.experiments.table.fields)
        with ui.context.client.content:
            found = await editor.asked_for_report([str(one) for one in fields])
        if found is not None:
            self._field.set_value(inserted(self._text, self._cursor, write_block(*found)))

    async def _save(self) -> None:
        now = await parts.attempt(self._services.saved.get, self._saved.id, REPORTS)
        if now is None:
            return
        if (read(now.value, Report) or Report()).text != self._before:
            parts.tell_failure(CHANGED_MEANWHILE)
            return
        document: dict[str, JsonValue] = {
            "text": self._text
        }  # a text that is too long is refused by the service, in words
        if await parts.attempt(self._services.saved.change, self._saved.id, kind=REPORTS, document=document):
            self._edits.leave(self._address)


def inserted(text: str, cursor: int, block: str) -> str:
    """The text with a block after the line in which the cursor is."""
    end = text.find("\n", max(0, cursor))
    before, after = (text, "") if end < 0 else (text[: end + 1], text[end + 1 :])
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    return f"{before}{gap}{block}{'' if after.startswith(chr(10)) or not after else chr(10)}{after}"
