"""Keeps elements in an order while others come and go."""

from __future__ import annotations

from nicegui import ui


def place_at(child: ui.element, index: int) -> None:
    """Have an element be its parent's child number `index`. One that is there already is not touched: in the browser a
    move takes the focus away, and breaks off a click.
    """
    if child.parent_slot is not None and child.parent_slot.children.index(child) != index:
        child.move(target_index=index)
