"""The columns of a table of experiments: those of every experiment, and what some of them logged, as a user chose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from nicegui import ui

from submarine_ray.spec.expressions import WrongExpression
from submarine_ray.spec.filters import MOST_COLUMNS, TableQuery
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.parts import Column

# What the rows hold under each name; the expression's word for it where it can be sorted by.
COLUMNS = {
    "status": Column("seen", "Status", "status", sort="status"),
    "owner": Column("owner", "Owner", wide=True, sort="owner"),
    "framework": Column("framework", "Framework", wide=True, sort="framework"),
    "tags": Column("tags", "Tags", "chips", wide=True),
    "cluster": Column("cluster", "Cluster", wide=True, sort="cluster"),
    "created": Column("acceptedTime", "Created", "ago", sort="created"),
    "duration": Column("duration", "Duration", "taken", wide=True, sort="duration"),
}
MOST_PINS = 4  # more would leave no room for the others
NAME = Column("name", "Name", "named", sort="name", pinned=True)  # always the first


def known(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that name columns, each once."""
    return tuple(dict.fromkeys(name for name in names if name in COLUMNS or is_logged(name)))[:MOST_COLUMNS]


def is_logged(name: str) -> bool:
    """Whether it is a parameter or a metric."""
    try:
        TableQuery.read(columns=[name])
    except WrongExpression:
        return False
    return True


def logged(names: Sequence[str]) -> list[str]:
    """The parameters and metrics among the names of columns."""
    return [name for name in names if name not in COLUMNS]


def drawn(names: Sequence[str], pinned: Collection[str] = ()) -> list[Column]:
    """The table's columns."""
    found = {
        name: Column(f"value{place}", name.partition(".")[2] or name, "value", right=True, sort=name, title=name)
        for place, name in enumerate(logged(names))
    }
    made = [COLUMNS.get(name) or found[name] for name in names]
    return [NAME, *(replace(one, pinned=name in pinned) for name, one in zip(names, made, strict=True))]


Chosen = tuple[tuple[str, ...], tuple[str, ...]]


async def chosen(names: Sequence[str], pinned: Sequence[str], there: Sequence[str]) -> Chosen | None:
    """Ask for columns, their order, and which of them are pinned; `there` are the parameters and metrics there are.
    None if nothing changes.
    """
    order, pins = list(names), list(pinned)
    with dialogs.dialog("Columns") as asked:
        parts.text(
            "Name is always the first column. Pinned columns stay at the left while you scroll.", "p", "quiet small"
        )
        listed = ui.element("ol").classes("columns")

        def change(act: Callable[[], object]) -> None:
            act()
            pins[:] = [name for name in order if name in pins]
            draw()

        def draw() -> None:
            listed.clear()
            with listed:
                for place, name in enumerate(order):
                    _draw_one(order, pins, place, name, change)
            options = [name for name in (*COLUMNS, *there) if name not in order]
            more.set_options(options, value=None)

        def add(event: object) -> None:
            if isinstance(more.value, str) and more.value not in order:
                change(lambda: order.append(str(more.value)))

        def restore() -> None:
            order[:], pins[:] = list(COLUMNS), []

        more = ui.select([], label="Add a column", with_input=True, on_change=add)
        more.props('outlined dense options-dense aria-label="Add a column"').classes("full")
        parts.button("Reset to default", lambda: change(restore))
        draw()
        answer = await dialogs.submitted(asked, "Show", lambda: asked.submit((tuple(order), tuple(pins))))
    return answer if answer is not None and answer != (tuple(names), tuple(pinned)) else None


def _draw_one(
    order: list[str], pins: list[str], place: int, name: str, change: Callable[[Callable[[], object]], None]
) -> None:
    def move(by: int) -> None:
        order.insert(place + by, order.pop(place))

    def pin() -> None:
        pins.remove(name) if name in pins else pins.append(name)

    label = COLUMNS[name].label if name in COLUMNS else name
    with ui.element("li").classes("bar"):
        parts.text(label, classes="grow anywhere")
        is_pinned = name in pins
        pinning = parts.icon_button(f"{'Unpin' if is_pinned else 'Pin'} {label}", "push_pin", lambda: change(pin))
        pinning.set_enabled(is_pinned or len(pins) < MOST_PINS)
        pinning._props["aria-pressed"] = "true" if is_pinned else "false"
        up = parts.icon_button(f"Move {label} up", "arrow_upward", lambda: change(lambda: move(-1)))
        up.set_enabled(place > 0)
        down = parts.icon_button(f"Move {label} down", "arrow_downward", lambda: change(lambda: move(1)))
        down.set_enabled(place < len(order) - 1)
        parts.icon_button(f"Remove {label}", "close", lambda: change(lambda: order.remove(name)))
