"""A comparison as one table of HTML: as elements of the page, hundreds of rows would take seconds."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence

from submarine_ray.workbench.compare_rows import METRICS, Rows


def table(
    headings: Sequence[str],
    sections: Mapping[str, Rows],
    best: Callable[[str], set[int]],
    nothing: Callable[[str], str] = lambda title: "",
) -> Iterator[str]:
    """`headings`: markup, one for each column; everything else is text. `best`: the places of a metric's best values;
    `nothing`: what a section without rows says, by its title.
    """
    span = f'colspan="{len(headings) + 1}"'
    yield '<table class="plain compared"><thead><tr><td></td>'
    for heading in headings:
        yield f'<th scope="col">{heading}</th>'
    yield "</tr></thead>"
    for title, rows in sections.items():
        shown = html.escape(title)
        yield f'<tbody aria-label="{shown}"><tr><th class="section" scope="rowgroup" {span}>{shown}</th></tr>'
        for label, values in rows.items():
            yield from _row(label, values, best(label) if title == METRICS else set())
        if not rows:
            yield f'<tr><td class="quiet" {span}>{html.escape(nothing(title))}</td></tr>'
        yield "</tbody>"
    yield "</table>"


def link(address: str, text: str) -> str:
    return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'


def _row(label: str, values: Sequence[str], winners: set[int]) -> Iterator[str]:
    shown = "mono diff" if len(set(values)) > 1 else "mono"
    yield f'<tr><th scope="row">{html.escape(label)}</th>'
    for place, value in enumerate(values):
        yield f'<td class="{shown}"{" data-best" if place in winners else ""}>{html.escape(value)}</td>'
    yield "</tr>"
