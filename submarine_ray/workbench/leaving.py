"""Edits that would be lost by leaving a page: the browser asks first."""

from __future__ import annotations

import json

from nicegui import ui


class Edits:
    """What a form says against what it said at first; `workbench.js` asks as long as they differ."""

    def __init__(self) -> None:
        self._first: tuple[object, ...] | None = None
        self._asks = False

    def note(self, *said: object) -> None:
        """What the form says now. The first time is what it begins with."""
        if self._first is None:
            self._first = said
        self._ask(said != self._first)

    @staticmethod
    def leave(address: str) -> None:
        """Open another page: what the form says is stored, and nobody need be asked."""
        ui.run_javascript(f"window.hasEdits = false; location.assign({json.dumps(address)})")

    def _ask(self, asks: bool) -> None:
        if asks != self._asks:
            self._asks = asks
            ui.run_javascript(f"window.hasEdits = {json.dumps(asks)}")
