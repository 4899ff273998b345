"""A text that is edited where it stands: what is saved, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from nicegui import Client, ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.page import page

from submarine_ray.workbench import markdown, parts


class Edited:
    """A card whose text is edited without a browser. `stored` is the text as the service has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stored: str) -> None:
        self.stored = stored
        self.saved: list[str] = []
        self.failures: list[str] = []
        self.buttons: dict[str, Callable[[], Any]] = {}
        self.accepts = True
        monkeypatch.setattr(parts, "button", self._button)
        monkeypatch.setattr(parts, "tell_failure", self.failures.append)
        monkeypatch.setattr(ui, "run_javascript", lambda _: None)
        self.card = markdown.InPlace("notes", stored, lambda: self.stored, self._save)

    def _button(self, label: str, action: Callable[[], Any], kind: str = "") -> None:
        self.buttons[label] = action

    async def _save(self, written: ui.textarea) -> bool:
        await asyncio.sleep(0)
        if self.accepts:
            self.saved.append(written.value)
            self.stored = written.value
        return self.accepts

    def begin(self, text: str) -> None:
        self.card._edit()
        self.field.set_value(text)

    @property
    def field(self) -> ui.textarea:
        return next(one for one in self.card._content.descendants() if isinstance(one, ui.textarea))

    @property
    def shown(self) -> str:
        """What the card shows; an open field's text is none."""
        inside = list(self.card._content.descendants())
        texts = [one.text for one in inside if isinstance(one, TextElement)]
        return "".join([*texts, *(one.content for one in inside if isinstance(one, ui.html))])


def within_a_page(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        client = Client(page(""))
        with client:
            await test()
        client.delete()

    with ThreadPoolExecutor(1) as thread:  # where no browser has a loop
        thread.submit(asyncio.run, run()).result()


def test_a_text_is_saved_once_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        edited = Edited(monkeypatch, "")
        assert "No notes yet." in edited.shown
        edited.begin("**mine**")
        await asyncio.gather(edited.buttons["Save"](), edited.buttons["Save"]())
        assert (edited.saved, edited.failures) == (["**mine**"], [])
        assert "<strong>mine</strong>" in edited.shown

    within_a_page(test)


def test_what_somebody_else_has_written_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        edited = Edited(monkeypatch, "before")
        edited.begin("mine")
        edited.stored = "theirs"
        await edited.buttons["Save"]()
        assert (edited.saved, edited.stored) == ([], "theirs")
        assert edited.failures == [markdown.CHANGED_MEANWHILE]
        assert edited.field.value == "mine"  # to copy it
        edited.buttons["Cancel"]()
        assert "theirs" in edited.shown

    within_a_page(test)


def test_an_edit_survives_a_refresh_and_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        edited = Edited(monkeypatch, "before")
        edited.begin("mine")
        edited.card.show("newer")
        edited.accepts = False
        await edited.buttons["Save"]()
        assert edited.field.value == "mine"
        edited.buttons["Cancel"]()
        assert "before" in edited.shown  # as it is stored
        edited.card.show("newest")
        assert "newest" in edited.shown

    within_a_page(test)
