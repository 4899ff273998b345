"""The code of what is compared, as the lines that differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nicegui import ui

from submarine_ray.core.errors import NotFound
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.zips import Refused
from submarine_ray.workbench import parts
from submarine_ray.workbench.code_changes import Change, changes
from submarine_ray.workbench.compared import Compared

_CLASSES = {"+": "added", "-": "removed", "@": "quiet"}


async def draw(packages: PackageService, found: Sequence[Compared]) -> None:
    """Draw what differs between the package of the first and that of one of the others, if any differs."""
    urls = {place: url for place, one in enumerate(found) if (url := _package(one))}
    if 0 not in urls:
        return
    others = {place: found[place].label for place, url in urls.items() if url != urls[0]}
    if not others:
        return
    with parts.card("Code"):
        choice = ui.select(others, label=f"From {found[0].label} to", value=next(iter(others)))
        choice.props("dense outlined options-dense").style("max-width: 420px").set_visibility(len(others) > 1)
        content = ui.element("div").classes("stack")

        async def show(place: int) -> None:
            told = await asyncio.to_thread(_changes, packages, urls[0], urls[place])
            content.clear()
            with content:
                if isinstance(told, str):
                    parts.text(told, "p", "quiet")
                else:
                    _draw_changes(told, f"From {found[0].label} to {found[place].label}")

        choice.on_value_change(lambda: show(choice.value))
        await show(next(iter(others)))


def _package(one: Compared) -> str | None:
    code = one.spec.code
    return code.url if code and code.sync_mode == "package" else None


def _changes(packages: PackageService, before: str, after: str) -> list[Change] | str:
    """The changes, or why there is nothing to show."""
    try:
        return changes(packages.file(before), packages.file(after))
    except NotFound:
        return "The code of one of them is no longer stored."
    except (Refused, OSError) as failure:
        return f"The code cannot be compared: {failure}."


def _draw_changes(found: Sequence[Change], title: str) -> None:
    files = sum(one.files for one in found)
    count = f"{files} {'file differs' if files == 1 else 'files differ'}" if found else "the files are the same"
    parts.text(f"{title}: {count}.", "p", "quiet anywhere")
    for one in found:
        parts.text(f"{one.name}: {one.kind}", "h3", "anywhere")
        if one.lines:
            with parts.block("", f"Changes of {one.name}").classes("changes"):
                for line in one.lines:
                    parts.text(line, "div", _CLASSES.get(line[:1], ""))
        if one.note:
            parts.text(one.note, "p", "quiet small")
