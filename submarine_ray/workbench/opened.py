"""The star of a thing's page, and the note that a user has opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from nicegui import background_tasks, ui

from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import parts
from submarine_ray.workbench.services import Services


def note(services: Services, kind: ObjectKind, key: str, then: Callable[[bool], None] | None = None) -> None:
    """Note that the user has opened this page, once a browser has: the page does not wait for it. `then` learns
    whether the page's thing is a favourite.
    """

    async def write() -> None:
        with suppress(SubmarineError):  # the database is away, and what was opened is not worth a word
            is_starred = await asyncio.to_thread(services.search.note_opened, kind, key)
            if then is not None:
                then(is_starred)

    seen: list[bool] = []

    def once() -> None:
        if not seen:
            seen.append(True)
            background_tasks.create(write(), name="note an opened page")

    ui.context.client.on_connect(once)


def star(services: Services, kind: ObjectKind, key: str) -> None:
    """A button that makes a page's thing a favourite; and the note that the page was opened."""
    button = star_button(kind, key, is_starred=False)

    def show(is_starred: bool) -> None:
        if is_starred and not button.is_deleted:
            button._props["data-starred"] = "1"
            button.update()

    note(services, kind, key, show)


def star_button(kind: ObjectKind, key: str, is_starred: bool) -> ui.element:
    """A button that makes a thing a favourite, in a list of them."""
    starred = "1" if is_starred else None
    return parts.element("star-button", data_kind=kind, data_key=key, data_starred=starred)
