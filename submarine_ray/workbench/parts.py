"""The small parts that pages are made of. User strings are only ever text: never HTML, never script."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.elements.mixins.validation_element import ValidationElement
from nicegui.helpers import should_await

from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.numbers import is_finite, is_whole, to_json
from submarine_ray.workbench import cells
from submarine_ray.workbench.query_cache import Asked, Found, off_the_loop, run_query

UNDO_SECONDS = 15.0
Row = dict[str, object]  # of a table: JSON for the browser
Value = TypeVar("Value")
Refresh = Callable[[], Awaitable[None]]

_STATES = {
    "good": ("succeeded", "healthy", "ok"),
    "run": ("running", "updating", "deploying"),
    "wait": ("accepted", "created", "creating", "starting", "pending", "waiting", "terminating", "unknown"),
    "bad": ("failed", "unhealthy", "lost", "error"),
    "off": ("stopped",),
}
_STATE_OF = {status: state for state, statuses in _STATES.items() for status in statuses}


@dataclass(frozen=True)
class Done(Generic[Found]):
    """What an action answered."""

    value: Found


@overload
async def attempt(
    action: Callable[Asked, Awaitable[Found]], *arguments: Asked.args, **options: Asked.kwargs
) -> Done[Found] | None: ...
@overload
async def attempt(
    action: Callable[Asked, Found], *arguments: Asked.args, **options: Asked.kwargs
) -> Done[Found] | None: ...
async def attempt(action: Callable[..., object], *arguments: object, **options: object) -> object:
    """Do something that may be refused, off the event loop; a refusal is shown to the user, and None answered."""
    try:
        return Done(await off_the_loop(action, *arguments, **options))
    except SubmarineError as failure:
        tell_failure(str(failure))
        return None


def tell(message: str) -> None:
    ui.notify(message, type="positive", position="bottom", timeout=4000)


def tell_failure(message: str) -> None:
    ui.notify(message, type="negative", position="bottom", timeout=0, close_button="Close", multi_line=True)


def offer_undo(message: str, action: Callable[..., object], *arguments: object, then: Refresh) -> None:
    """Say what was done, with a button that does `action` to undo it, and `then`; it goes after some seconds."""
    with ui.context.client.content, row("toast").props("role=status") as bar:
        text(message)

        async def undo() -> None:
            if await attempt(action, *arguments):
                bar.delete()
                await then()

        button("Undo", undo)
        icon_button("Close", "close", bar.delete)
        ui.timer(UNDO_SECONDS, lambda: None if bar.is_deleted else bar.delete(), once=True)


def deleted(
    content: ui.element, what: str, back: tuple[str, str], action: Callable[..., object], *arguments: object
) -> None:
    """Stand in place of a page whose subject is gone: the way back, and what undoes it."""
    content.clear()

    async def undo() -> None:
        if await attempt(action, *arguments):
            ui.navigate.reload()

    with content, empty(f"{what} was deleted", "You can undo this."), row():
        button("Undo", undo, "undo", "outline")
        link(back[0], back[1])


def state(status: str | None) -> str:
    """The colour of a status."""
    return _STATE_OF.get((status or "").lower(), "")


def text(content: str, tag: str = "span", classes: str = "") -> TextElement:
    element = TextElement(tag=tag, text=content)
    element.classes(classes)
    return element


def heading(content: str, level: int = 2) -> TextElement:
    return text(content, f"h{level}")


def badge(status: str | None, colour: str | None = None) -> TextElement:
    return show_badge(text("", "span", "badge"), status, colour)


def show_badge(element: TextElement, status: str | None, colour: str | None = None) -> TextElement:
    """`colour`: of the state, where the status alone does not say it."""
    element.set_text(status or "–")
    element._props["data-state"] = colour or state(status)
    element.update()
    return element


def element(tag: str, **attributes: str | None) -> ui.element:
    """An element with attributes whose values may be anything: they never become markup."""
    made = ui.element(tag)
    made._props.update({name.replace("_", "-"): value for name, value in attributes.items() if value is not None})
    return made


def ago(time: str | None) -> ui.element:
    """How long ago, with the moment itself on hover."""
    return element("time-ago", at=time or "")


def taken(begun: str | None, ended: str | None) -> ui.element:
    """How long it took, or takes."""
    return element("time-taken", **{"from": begun or "", "to": ended or ""})


def short(value: object) -> object:
    """A number to read: six digits of it, all of a whole one, which may be a seed or a count; NaN and the infinities in
    words; anything else as it is.
    """
    if not isinstance(value, float) or is_whole(value):
        return value
    return float(f"{value:.6g}") if is_finite(value) else to_json(value)


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as `1 experiment` and `2,000 experiments`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def link(content: str, target: str, new_tab: bool = False, classes: str = "") -> ui.link:
    made = ui.link(content, target, new_tab=new_tab).classes(classes)
    if new_tab:
        made._props["rel"] = "noopener"
    return made


def row(classes: str = "bar") -> ui.element:
    return ui.element("div").classes(classes)


def card(title: str | None = None, classes: str = "") -> ui.element:
    made = ui.element("section").classes(f"card {classes}")
    if title:
        with made:
            heading(title)
    return made


def in_page(action: Callable[[], object] | None) -> Callable[[], object] | None:
    """The action, in the page's context: its button may be drawn anew, and so be deleted, before it has ended."""
    if action is None:
        return None

    def act() -> object:
        content = ui.context.client.content
        with content:
            done = action()
        return _within(content, done) if should_await(done) else done

    return act


async def _within(content: ui.element, action: Awaitable[object]) -> None:
    with content:
        try:
            await action
        except SubmarineError as failure:  # such as a database that is away: nobody shall press in vain
            tell_failure(str(failure))


def button(
    label: str, action: Callable[..., object] | None = None, icon: str | None = None, kind: str = "flat"
) -> ui.button:
    """`kind`: main (one a page), outline, flat or danger."""
    looks = {
        "main": "unelevated color=primary",
        "outline": "outline color=primary",
        "flat": "flat color=primary",
        "danger": "flat color=negative",
    }
    return ui.button(label, icon=icon, on_click=in_page(action), color=None).props(f"no-caps {looks[kind]}")


def icon_button(label: str, icon: str, action: Callable[..., object] | None = None) -> ui.button:
    made = ui.button(icon=icon, on_click=in_page(action), color=None).props("flat round dense")
    made._props["aria-label"] = label
    with made:
        ui.tooltip(label)
    return made


def copy_button(content: str, label: str = "Copy") -> ui.button:
    made = icon_button(label, "content_copy")
    made._props["data-copy"] = content
    return made


def block(content: str, label: str = "Text") -> TextElement:
    """Text that keeps its lines; it scrolls, so the keyboard must reach it."""
    made = text(content, "pre", "well")
    made._props.update({"tabindex": "0", "role": "region", "aria-label": label})
    return made


def copyable(content: str, label: str) -> None:
    with row("card"):
        with row():
            heading(label, 3).classes("grow")
            copy_button(content, f"Copy {label}")
        block(content, label)


def facts(pairs: Iterable[tuple[str, str | Callable[[], object] | None]]) -> None:
    """A list of terms; a value is text, or what draws it. Those without a value are left out."""
    with ui.element("div").classes("facts"):
        for term, value in pairs:
            if value is None or value == "":
                continue
            text(term)
            if callable(value):
                with ui.element("div"):
                    value()
            else:
                text(value)


def tags(found: Sequence[str], change: Callable[[str, bool], Awaitable[None]]) -> None:
    """Tags that can be taken away, and a field for one more; `change` is given a tag and whether it is wanted."""
    with row():
        for tag in found:
            with text(tag, classes="chip"):
                icon_button(f"Remove tag {tag}", "close", lambda tag=tag: change(tag, False)).props("size=xs")
        more = ui.input(placeholder="Add tag").props('dense borderless aria-label="Add tag"').style("width: 110px")
        more.on("keydown.enter", lambda: change(more.value.strip(), True) if more.value.strip() else None)


def empty(title: str, explanation: str) -> ui.element:
    """What stands where there is nothing yet: what it is for. Enter it to add the next step's buttons."""
    made = ui.element("div").classes("empty")
    with made:
        heading(title)
        text(explanation, "p")
    return made


def notice(message: str, bad: bool = False) -> TextElement:
    made = text(message, "div", f"notice {'bad' if bad else ''}")
    made._props["role"] = "status"
    return made


@dataclass(frozen=True)
class Column:
    """A column of a table. `kind`: text, wrap, mono, link (to the row's `href`), named (a link, and the row's `why`
    below it), status (coloured by the row's `state`), ago, taken (between the row's `from` and `to`), value (a number),
    chips or copy (a button). `wide` ones are left out on a phone. `sortable` ones are sorted in the browser; with
    `sort`, a press on the heading is told by the event `sort` with that name. `title` is shown on hover.
    A `pinned` one stays where it is while the others are scrolled.
    """

    name: str
    label: str
    kind: str = "text"
    wide: bool = False
    sortable: bool = False
    right: bool = False
    sort: str = ""
    title: str = ""
    pinned: bool = False


def _classes(column: Column) -> str:
    return " ".join(name for name, has in (("wide-only", column.wide), ("pinned", column.pinned)) if has)


def table(
    columns: Sequence[Column],
    rows: list[Row],
    key: str,
    label: str,
    select: bool = False,
    page: int = 0,
    sort: str = "",
) -> ui.table:
    """A table; `rows` of it may be replaced. `page`: rows a page, 0 for all. `sort`: the column that the rows are
    sorted by, with `-` before it if the highest comes first.
    """
    order = {sort.removeprefix("-"): "descending" if sort.startswith("-") else "ascending"}
    made = ui.table(
        columns=[
            {
                "name": column.name,
                "label": column.label,
                "field": column.name,
                "align": "right" if column.right else "left",
                "sortable": column.sortable,
                "sortBy": column.sort,  # Quasar takes `sort` for a function that compares
                "title": column.title,
                "order": order.get(column.sort),
                "classes": _classes(column),
                "headerClasses": _classes(column),
            }
            for column in columns
        ],
        rows=rows,
        row_key=key,
        selection="multiple" if select else None,
        pagination=page,
    ).props("flat dense" + ("" if page else " hide-pagination"))
    made._props.update({"role": "region", "aria-label": label})
    for column in columns:
        made.add_slot(f"body-cell-{column.name}", f'<q-td :props="props">{cells.CELLS[column.kind]}</q-td>')
    if any(column.sort or column.sortable for column in columns):
        made.add_slot("header-cell", cells.HEADING)
    if select:
        made.add_slot("header-selection", cells.SELECT_ALL)
        made.add_slot("body-selection", cells.SELECT.replace("KEY", key))
    return made


async def redrawn(
    content: ui.element,
    draw: Callable[[Found], None],
    look: Callable[Asked, Found],
    *arguments: Asked.args,
    **options: Asked.kwargs,
) -> Refresh:
    """Fill `content` with what `draw` makes of what `look` finds; answers what does so again if that has changed."""
    refresh = _redrawing(content, draw, lambda: run_query(look, *arguments, **options))
    await refresh()
    return refresh


def redrawn_later(
    content: ui.element,
    draw: Callable[[Found], None],
    look: Callable[Asked, Awaitable[Found]],
    *arguments: Asked.args,
    **options: Asked.kwargs,
) -> Refresh:
    """The same for what must be asked of a cluster: it comes once the page is there, which does not wait for it."""
    refresh = _redrawing(content, draw, lambda: run_query(look, *arguments, **options))
    ui.timer(0, refresh, once=True)
    return refresh


def _redrawing(content: ui.element, draw: Callable[[Found], None], look: Callable[[], Awaitable[Found]]) -> Refresh:
    before: list[Found] = []

    async def refresh() -> None:
        found = await look()
        if before != [found] and not content.is_deleted:
            before[:] = [found]
            content.clear()
            with content:
                draw(found)

    return refresh


def replace_rows(shown: ui.table, rows: list[Row]) -> None:
    """Send rows only if something in them has changed."""
    if shown.rows != rows:
        shown.rows = rows


def number(label: str, value: float | None = None) -> ui.number:
    """A field for a number. It takes any: NiceGUI's bounds would put right in silence what our validation tells."""
    return ui.number(label, value=value, format="%.10g")


def field_problem(field: ValidationElement[Value], message: str | None) -> None:
    """Say beside a field what is wrong with it, or that nothing is."""
    field.error = message
    field.update()
