"""An experiment's artifacts: browsed by directory, previewed as what they are, downloaded."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, urlencode

from nicegui import ui

from submarine_ray.core.errors import SubmarineError
from submarine_ray.experiments.pages import address as artifact_page
from submarine_ray.spec.json_types import Json, JsonObject, objects_at, value_at
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.services import Services

MAX_TEXT = 200_000
MAX_IMAGE = 5_000_000
MAX_ROWS = 200
_IMAGES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".gif": "gif", ".webp": "webp", ".svg": "svg+xml"}
_PAGES = (".html", ".htm", ".pdf", ".svg")
_TABLES = {".csv": ",", ".tsv": "\t"}
_COLUMNS = (parts.Column("name", "Name", "link"), parts.Column("size", "Size", right=True))


@dataclass(frozen=True)
class _Place:
    """Whose artifacts they are: an experiment's, of its current attempt or of another."""

    experiment_id: str
    attempt: int | None

    def address(self, path: str) -> str:
        return addresses.experiment(self.experiment_id, tab="artifacts", attempt=self.attempt, path=path)


async def draw(services: Services, experiment_id: str, path: str, attempt: int | None) -> None:
    """Draw a directory, or a file of it."""
    place = _Place(experiment_id, attempt)
    with parts.row():
        parts.link("Artifacts", place.address(""))
        for part in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)][1:]:
            parts.text("/", classes="quiet")
            parts.link(part.name, place.address(str(part)))
    try:
        found = await asyncio.to_thread(services.experiments.results.artifacts, experiment_id, path, attempt)
        listed_as_itself = [one.path for one in found] == [path]
        if path and (not found or listed_as_itself):
            await _draw_file(services, place, path)
            return
    except SubmarineError as failure:
        parts.notice(str(failure), bad=True)
        return
    if not found:
        with parts.empty("No artifacts yet", "Models, logs and files that your code logs to MLflow appear here."):
            return
    rows: list[parts.Row] = [
        {
            "name": PurePosixPath(one.path).name + ("/" if one.is_dir else ""),
            "size": "" if one.is_dir else size(one.size),
            "href": place.address(one.path),
        }
        for one in found
    ]
    parts.table(_COLUMNS, rows, "name", "Artifacts", page=100 if len(rows) > 100 else 0)


def size(count: int | None) -> str:
    """Bytes in words."""
    number, units = float(count or 0), ["B", "KiB", "MiB", "GiB"]
    while number >= 1024 and len(units) > 1:
        number, units = number / 1024, units[1:]
    return f"{number:.0f} {units[0]}" if units[0] == "B" else f"{number:.1f} {units[0]}"


async def _draw_file(services: Services, place: _Place, path: str) -> None:
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
    limit = MAX_IMAGE if suffix in _IMAGES or suffix == ".ipynb" else MAX_TEXT

    def read() -> tuple[bytes, int]:
        of = (place.experiment_id, path, place.attempt)
        with services.experiments.results.artifact(*of) as file, file.open("rb") as opened:
            return opened.read(limit), file.stat().st_size

    content, total = await asyncio.to_thread(read)
    with parts.card():
        with parts.row():
            parts.heading(name).classes("grow anywhere")
            parts.text(size(total), classes="quiet small")
            asked = {"path": path, **({"attempt": place.attempt} if place.attempt else {})}
            parts.link("Download", f"/api/v1/experiment/{quote(place.experiment_id)}/artifact?{urlencode(asked)}")
            if suffix in _PAGES:
                parts.link("Open", artifact_page(place.experiment_id, path, place.attempt), new_tab=True)
        if suffix in _IMAGES and total <= MAX_IMAGE:
            _image(f"data:image/{_IMAGES[suffix]};base64,{base64.b64encode(content).decode()}", name)
        elif suffix == ".ipynb" and _draw_notebook(content):
            return
        elif b"\0" in content[:4096]:
            parts.text("This file is not text. Download it to view it.", "p", "quiet")
        elif suffix in _TABLES:
            _draw_table(content.decode(errors="replace"), _TABLES[suffix])
        else:
            parts.block(content.decode(errors="replace"), name)
        if total > len(content):
            parts.text(f"Showing the first {size(len(content))}.", "p", "quiet small")


def _image(source: str, name: str) -> None:
    # As an image an SVG runs no scripts.
    parts.element("img", src=source, alt=name).classes("preview")


def _draw_table(content: str, delimiter: str) -> None:
    rows = list(csv.reader(io.StringIO(content), delimiter=delimiter))[: MAX_ROWS + 1]
    if not rows:
        return
    with ui.element("div").classes("scroll").props("tabindex=0"), ui.element("table").classes("plain"):
        for number, row in enumerate(rows):
            with ui.element("tr"):
                for cell in row:
                    parts.text(cell, "td" if number else "th")


def _draw_notebook(content: bytes) -> bool:
    """Cells and their outputs as text and pictures; False for what is not a notebook."""
    try:
        document: JsonObject = json.loads(content)
        if not isinstance(value_at(document, "cells"), list):
            return False
        for cell in objects_at(document, "cells"):
            source = _joined(cell.get("source"))
            if cell.get("cell_type") == "code":
                parts.block(source, "Code")
                for output in objects_at(cell, "outputs"):
                    _draw_output(output)
            else:
                parts.text(source, "p", "anywhere").style("white-space: pre-wrap")
    except ValueError:
        return False
    return True


def _draw_output(output: JsonObject) -> None:
    if image := _joined(value_at(output, "data", "image/png")):
        _image(f"data:image/png;base64,{image}", "Output")
    elif said := _joined(output.get("text")) or _joined(value_at(output, "data", "text/plain")):
        parts.block(said, "Output")


def _joined(lines: Json) -> str:
    """Text, which notebooks keep as a list of lines or whole."""
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")
