"""Markdown that people write: drawn, and edited in place with a preview."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.workbench import parts
from submarine_ray.workbench.leaving import Edits
from submarine_ray.workbench.markdown_html import html

HINT = "Markdown: **bold**, `code`, # heading, - list, [text](link)"
CHANGED_MEANWHILE = "Somebody else has changed this text in the meantime. Copy your text; Cancel shows theirs."
_WRITE, _PREVIEW = "Write", "Preview"

Read = Callable[[], str]
Save = Callable[[ui.textarea], Awaitable[bool]]


def draw(source: str) -> ui.html:
    """A text as a part of a page. It may be anybody's: what is in it becomes neither HTML of its own nor script."""
    return ui.html(html(source), sanitize=False).classes("prose anywhere")


def show(source: str, otherwise: str) -> None:
    """A text, or a line that says that there is none."""
    if source.strip():
        draw(source)
    else:
        parts.text(otherwise, "p", "quiet")


def field(source: str, label: str) -> ui.textarea:
    """A field to write a text in, and its preview, each in a tab."""
    with ui.tabs().props("dense align=left no-caps") as tabs:
        ui.tab(_WRITE)
        ui.tab(_PREVIEW)
    tabs.set_value(_WRITE)
    tabs._props["aria-label"] = f"{label}: write or preview"
    written = ui.textarea(label, value=source).props("outlined autogrow")
    written._props["hint"] = HINT
    preview = ui.element("div")
    preview.set_visibility(False)

    def turn(event: ValueChangeEventArguments[ui.tab | ui.tab_panel | str | None]) -> None:
        is_preview = event.value == _PREVIEW
        preview.clear()
        if is_preview:
            with preview:
                show(written.value or "", "Nothing to preview.")
        written.set_visibility(not is_preview)
        preview.set_visibility(is_preview)

    tabs.on_value_change(turn)
    return written


class InPlace:
    """A card with a text, and a button that puts a field in the text's place.

    `noun` names the text: description, notes. `read` answers what is stored: an edit of what somebody else has changed
    meanwhile is not saved. `save` is given the field, beside which it says what is wrong; it answers whether the
    field's value was saved.
    """

    def __init__(self, noun: str, source: str, read: Read, save: Save) -> None:
        self._noun = noun
        self._read = read
        self._source = source
        self._save = save
        self._is_edited = self._is_saving = False
        self._content = parts.card()
        self._draw()

    def show(self, source: str) -> None:
        """Show what is stored by now. An edit under way goes on."""
        is_other, self._source = source != self._source, source
        if is_other and not self._is_edited and not self._content.is_deleted:
            self._draw()

    def _draw(self) -> None:
        self._is_edited = False
        self._content.clear()
        with self._content:
            with parts.row():
                parts.heading(self._noun.capitalize()).classes("grow")
                self._pencil = parts.icon_button(f"Edit {self._noun}", "edit", self._edit)
            show(self._source, f"No {self._noun} yet.")

    def _edit(self) -> None:
        self._is_edited = True
        before, edits = self._source, Edits()
        edits.note(before)

        def close() -> None:
            edits.note(before)
            self._draw()
            ui.run_javascript(f"getHtmlElement({self._pencil.id})?.focus()")  # where the keyboard was

        async def store() -> None:
            if self._is_saving:  # a second press would find what the first has changed
                return
            self._is_saving = True
            try:
                is_saved = await self._is_as(before) and await self._save(written)
            finally:
                self._is_saving = False
            if is_saved and not self._content.is_deleted:
                self._source = written.value or ""
                close()

        self._content.clear()
        with self._content:
            parts.heading(self._noun.capitalize())
            written = field(before, self._noun.capitalize()).props("autofocus")
            written.on_value_change(lambda: edits.note(written.value or ""))
            for keys in ("ctrl", "meta"):
                written.on(f"keydown.{keys}.enter", store)
            with parts.row():
                parts.row("grow")
                parts.button("Cancel", close)
                parts.button("Save", store, kind="main")

    async def _is_as(self, before: str) -> bool:
        now = await parts.attempt(self._read)
        if now is None:
            return False
        self._source = now.value
        if now.value != before:
            parts.tell_failure(CHANGED_MEANWHILE)
        return now.value == before
