"""The steps of a form: a check mark stands on those that were left and are right, a warning on those that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection

from nicegui import ui

from submarine_ray.workbench import parts


class Steps(ui.stepper):
    """Named steps below each other; any may be opened at any time."""

    def __init__(self) -> None:
        self._steps: dict[str, ui.step] = {}
        self._left: set[str] = set()
        self._wrong: Collection[str] = ()
        super().__init__()
        self.props("vertical flat header-nav animated").classes("steps")

    def draw(self, steps: dict[str, Callable[[], None]]) -> None:
        """Draw each step's content, with the way to the next and to the one before."""
        for number, (name, draw) in enumerate(steps.items()):
            with self, ui.step(name).props(f"prefix={number + 1}") as self._steps[name]:
                draw()
                with parts.row():
                    if number < len(steps) - 1:
                        parts.button("Next", self.next, kind="outline")
                    if number:
                        parts.button("Back", self.previous)

    def blame(self, wrong: Collection[str]) -> None:
        """Say which steps are wrong."""
        if wrong != self._wrong:
            self._wrong = wrong
            self._draw_marks()

    def _draw_marks(self) -> None:
        for name, step in self._steps.items():
            is_wrong = name in self._wrong
            is_done = name in self._left and not is_wrong
            step.props(f":error={str(is_wrong).lower()} :done={str(is_done).lower()}")

    def _handle_value_change(self, value: object) -> None:
        if isinstance(before := self._props.get(self.VALUE_PROP), str):
            self._left.add(before)
        super()._handle_value_change(value)
        self._draw_marks()  # NiceGUI has all steps before this one done
