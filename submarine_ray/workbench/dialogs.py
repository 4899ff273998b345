"""Forms and questions above a page. They are the page's: the part with their button may be drawn again meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui

from submarine_ray.workbench import parts


@contextmanager
def dialog(title: str, broad: bool = False) -> Iterator[ui.dialog]:
    """Draw its content within; `submitted` or `answered` shows it.

    NiceGUI deletes a dialog together with the element in which it was made. A card that a change draws anew while
    somebody fills in a form would take the form with it, so it is made in the page itself.
    """
    classes = "dialog broad" if broad else "dialog"
    with ui.context.client.content, ui.dialog() as made, ui.card().classes(classes):
        made._props["aria-label"] = title
        parts.heading(title)
        yield made


async def confirmed(question: str, consequence: str, action: str) -> bool:
    """Ask before what cannot be undone."""
    with dialog(question) as asked:
        parts.text(consequence, "p", "quiet anywhere")
        with parts.row():
            ui.element("div").classes("grow")
            parts.button("Cancel", lambda: asked.submit(False)).props("autofocus")
            parts.button(action, lambda: asked.submit(True), kind="danger")
    return bool(await answered(asked))


async def submitted(asked: ui.dialog, action: str, send: Callable[[], Any]) -> Any:
    """Close the dialog's form with its buttons, and wait: what `send` submits, or None if the user gives up.

    Call it within the dialog.
    """
    with parts.row():
        parts.row("grow")
        parts.button("Cancel", lambda: asked.submit(None))
        parts.button(action, send, kind="main")
    return await answered(asked)


async def answered(asked: ui.dialog) -> Any:
    """What a dialog is answered with, or None; afterwards it is gone."""
    answer = await asked
    if not asked.is_deleted:  # as it is when its page has been left
        asked.delete()
    return answer
