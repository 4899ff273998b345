"""Items that are no numbers, each drawn as what it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.spec.answers.media import MediaItem
from submarine_ray.spec.json_types import Json, read_foreign
from submarine_ray.spec.spool import media
from submarine_ray.workbench import addresses, charts, media_charts, parts

MAX_TEXT = 100_000
MAX_ROWS, MAX_COLUMNS = 1_000, 200
_DIGITS = 15  # of an integer that a browser holds
MAX_DRAWN = 4 * 2**20  # bytes of a table or a figure: larger ones hold up the service, and the browser
SMALL_BYTES = 100_000  # an image of fewer is shown itself, not its preview


@dataclass(frozen=True)
class Shown:
    """An item, and its content where its drawing needs it."""

    item: MediaItem
    content: bytes = b""


def needs_content(kind: str, suffix: str) -> bool:
    """Whether the page reads the content; what it does not read, the browser fetches."""
    return kind not in (media.IMAGE, media.AUDIO) and (kind, suffix) != (media.FIGURE, "png")


def read_bytes(item: MediaItem) -> int:
    """How much of an item's content the page reads."""
    if not needs_content(item.kind, item.suffix) or _is_large(item):
        return 0
    return MAX_TEXT if item.kind == media.TEXT else item.size


def _is_large(item: MediaItem) -> bool:
    """Whether it is offered for download alone."""
    return item.kind != media.TEXT and needs_content(item.kind, item.suffix) and item.size > MAX_DRAWN


def draw(experiment_id: str, found: Sequence[Shown]) -> None:
    """Draw the items of a step; they are of one kind."""
    for one in found:
        if _is_large(one.item):
            _heading(one.item, found)
            _rest(experiment_id, one.item, f"With {one.item.size:,} bytes it is too large to be shown here.")
    if fits := [one for one in found if not _is_large(one.item)]:
        _draw(experiment_id, fits)


def _draw(experiment_id: str, found: Sequence[Shown]) -> None:
    kind = found[0].item.kind
    if kind in (media.ROC_CURVE, media.PR_CURVE):
        _draw_curves(kind, found)
    elif kind in (media.TABLE, media.CONFUSION_MATRIX):
        for one in found:
            _heading(one.item, found)
            _draw_table(experiment_id, one)
    elif kind == media.TEXT:
        with ui.element("div").classes("shots wide"):
            for one in found:
                with ui.element("div").classes("stack tight"):
                    _heading(one.item, found)
                    _draw_text(experiment_id, one)
    else:
        is_wide = kind != media.IMAGE
        with ui.element("div").classes("shots" + (" wide" if is_wide else "")):
            for one in found:
                with parts.element("figure").classes("shot"):
                    _draw_shot(experiment_id, one)
                    _caption(one.item, found)


def _heading(item: MediaItem, found: Sequence[Shown]) -> None:
    """Whose it is, where there are several, and what its code says about it."""
    said = [item.replica] if len({one.item.replica for one in found}) > 1 else []
    if said or item.caption:
        parts.text(" · ".join(filter(None, (*said, item.caption))), "p", "quiet small anywhere")


def _caption(item: MediaItem, found: Sequence[Shown]) -> None:
    several = len({one.item.replica for one in found}) > 1
    if several or item.caption:
        with parts.element("figcaption").classes("small"):
            if several:
                parts.text(item.replica, classes="quiet")
            if item.caption:
                parts.text(item.caption, classes="anywhere")


def _draw_shot(experiment_id: str, one: Shown) -> None:
    item = one.item
    label = item.caption or f"{item.key}, step {item.step}, {item.replica}"
    if item.kind == media.AUDIO:
        sound = parts.element("audio", src=addresses.media(experiment_id, item.name), preload="metadata")
        sound._props.update({"controls": True, "aria-label": label})
    elif item.suffix == "html":
        _draw_plotly(experiment_id, one, label)
    else:
        small = item.has_preview and item.size > SMALL_BYTES
        whole = addresses.media(experiment_id, item.name)
        size = {"width": str(item.width), "height": str(item.height)} if item.width and item.height else {}
        with parts.link("", whole, new_tab=True) as link:
            link._props["aria-label"] = f"Open {label}"
            is_tiny = 0 < max(item.width, item.height) < 100
            shot = parts.element(
                "img", src=f"{whole}?preview=true" if small else whole, alt=label, loading="lazy", **size
            )
            shot.classes("tiny" if is_tiny else "")


def said(content: bytes) -> Json:
    """What a file of JSON says: integers of which a browser would lose digits as texts. Raises ValueError."""
    return read_foreign(content.decode(errors="replace"), _DIGITS)


def _draw_plotly(experiment_id: str, one: Shown, label: str) -> None:
    _, begin, rest = one.content.partition(media.PLOTLY_BEGIN.encode())
    data, end, _ = rest.partition(media.PLOTLY_END.encode())
    try:
        figure = said(data) if begin and end else None
    except ValueError:
        figure = None
    if not isinstance(figure, dict) or not isinstance(figure.get("data"), list):
        parts.link("Download the figure", addresses.media(experiment_id, one.item.name))
        return
    given = figure.get("layout")
    layout = given if isinstance(given, dict) else {}
    layout = {name: value for name, value in layout.items() if name != "width"} | {"autosize": True}
    drawn = ui.plotly({"data": figure["data"], "layout": layout, "config": {"responsive": True}})
    drawn.classes("plot")
    drawn._props.update({"role": "group", "aria-label": label})


def _draw_text(experiment_id: str, one: Shown) -> None:
    text = one.content[:MAX_TEXT].decode(errors="replace")
    label = f"{one.item.key}, step {one.item.step}, {one.item.replica}"
    parts.block(text, label).style("white-space: pre-wrap; overflow-wrap: anywhere")
    if one.item.size > MAX_TEXT:
        _rest(experiment_id, one.item, f"Showing the first {MAX_TEXT:,} bytes.")


def _rest(experiment_id: str, item: MediaItem, said: str) -> None:
    with parts.row():
        parts.text(said, "p", "quiet small")
        parts.link("Download all", addresses.media(experiment_id, item.name), new_tab=True, classes="small")


def _rows(content: bytes) -> tuple[list[str], list[list[Json]]]:
    """A table's columns and rows; nothing of what is none."""
    try:
        found = said(content)
    except ValueError:
        found = None
    columns, rows = (found.get("columns"), found.get("data")) if isinstance(found, dict) else (None, None)
    if not isinstance(columns, list) or not isinstance(rows, list):
        return [], []
    lists = [row for row in rows if isinstance(row, list)]
    return ([str(name) for name in columns], lists) if len(lists) == len(rows) else ([], [])


def _draw_table(experiment_id: str, one: Shown) -> None:
    columns, rows = _rows(one.content)
    options = media_charts.confusion(rows) if one.item.kind == media.CONFUSION_MATRIX else None
    if options is None:
        _draw_rows(experiment_id, one.item, columns, rows)
        return
    charts.show(options, f"Confusion matrix {one.item.key}, step {one.item.step}", "chart matrix")
    with ui.expansion("As a table").props("dense").classes("quiet"):
        _draw_rows(experiment_id, one.item, columns, rows)


def _draw_rows(experiment_id: str, item: MediaItem, columns: Sequence[str], rows: Sequence[list[Json]]) -> None:
    if not columns:
        parts.text("This table is empty.", "p", "quiet")
        return
    all_columns, columns = len(columns), columns[:MAX_COLUMNS]
    numeric = [all(_is_number(row[at]) for row in rows[:50] if at < len(row)) for at in range(len(columns))]
    heads = [
        parts.Column(f"c{at}", name, "text" if numeric[at] else "wrap", sortable=True, right=numeric[at])
        for at, name in enumerate(columns)
    ]
    shown: list[parts.Row] = [
        {"id": number} | {f"c{at}": _cell(value) for at, value in enumerate(row[: len(columns)])}
        for number, row in enumerate(rows[:MAX_ROWS])
    ]
    parts.table(heads, shown, "id", f"{item.key}, step {item.step}", page=10 if len(shown) > 10 else 0)
    if len(rows) > MAX_ROWS:
        _rest(experiment_id, item, f"Showing the first {MAX_ROWS:,} of {len(rows):,} rows.")
    if all_columns > len(columns):
        _rest(experiment_id, item, f"Showing the first {MAX_COLUMNS:,} of {all_columns:,} columns.")


def _is_number(value: Json) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Json) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else parts.short(value)


def _draw_curves(kind: str, found: Sequence[Shown]) -> None:
    rows = [(one.item.replica, _rows(one.content)[1]) for one in found]
    for one in found:
        if one.item.caption:
            _heading(one.item, found)
    is_roc = kind == media.ROC_CURVE
    x, y = ("False positive rate", "True positive rate") if is_roc else ("Recall", "Precision")
    charts.show(media_charts.curves(rows, x, y, is_roc), f"{y} over {x.lower()} of {found[0].item.key}", "chart tall")
