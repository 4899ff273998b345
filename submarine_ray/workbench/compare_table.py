"""The values of what is compared, side by side: what differs is marked, and so is the best of each metric."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.workbench import addresses, compare_markup, parts
from submarine_ray.workbench.compare_rows import PACKAGES, Rows, best, differing, sections
from submarine_ray.workbench.compared import Compared

ROWS = 30  # of a section, without being asked for more: the curves are below


class Table:
    """`remember` is told whether only differences are shown."""

    def __init__(self, found: Sequence[Compared], only_differences: bool, remember: Callable[[bool], None]) -> None:
        self._found = found
        self._sections = {title: rows for title, rows in sections(found).items() if rows}
        self._only = only_differences
        self._remember = remember
        self._whole: set[str] = set()

    def draw(self) -> None:
        with parts.row():
            parts.text("Differences and each metric's best last value are highlighted.", "p", "quiet small grow")
            ui.switch("Differences only", value=self._only, on_change=self._turn)
        with ui.element("div").classes("card scroll") as content:
            content.props('tabindex=0 role=region aria-label="Differences"')
            self._content = ui.html("", sanitize=False)
        self._more = parts.row()
        self._draw_rows()

    def _turn(self, event: ValueChangeEventArguments[bool | None]) -> None:
        self._only = bool(event.value)
        self._remember(self._only)
        self._draw_rows()

    def _draw_rows(self) -> None:
        shown = {title: self._shown(title, rows) for title, rows in self._sections.items()}
        cut = {title: len(rows) for title, rows in shown.items() if len(rows) > ROWS and title not in self._whole}
        lines = {title: dict(list(rows.items())[: ROWS if title in cut else None]) for title, rows in shown.items()}
        headings = [_heading(one) for one in self._found]
        markup = compare_markup.table(headings, lines, lambda metric: best(metric, self._found), self._nothing)
        self._content.set_content("".join(markup))
        self._more.clear()
        with self._more:
            for title, count in cut.items():
                label = f"Show all {count:,} rows of {title}"
                parts.button(label, functools.partial(self._show_whole, title), kind="outline")

    def _shown(self, title: str, rows: Rows) -> Rows:
        """Of hundreds of packages, those that are the same say nothing."""
        return differing(rows) if self._only or title == PACKAGES else rows

    def _show_whole(self, title: str) -> None:
        self._whole.add(title)
        self._draw_rows()

    def _nothing(self, title: str) -> str:
        if title != PACKAGES:
            return "No differences."
        same = parts.counted(len(self._sections[title]), "package")
        return f"No differences: the same versions of {same}."


def _heading(one: Compared) -> str:
    state = html.escape(parts.state(one.status))
    badge = f'<span class="badge" data-state="{state}">{html.escape(one.status or "–")}</span>'
    return f"{compare_markup.link(addresses.experiment(one.id), one.name)}<br>{badge}"
