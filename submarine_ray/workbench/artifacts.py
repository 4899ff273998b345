"""An experiment's artifacts: browsed by directory, previewed as what they are, downloaded."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
from pathlib import PurePosixPath
from urllib.parse import quote

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


async def draw(services: Services, experiment_id: str, path: str) -> None:
    """Draw a directory, or a file of it."""
    with parts.row():
        _link(experiment_id, "", "Artifacts")
        for part in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)][1:]:
            parts.text("/", classes="quiet")
            _link(experiment_id, str(part), part.name)
    try:
        found = await asyncio.to_thread(services.experiments.results.artifacts, experiment_id, path)
        listed_as_itself = [one.path for one in found] == [path]
        if path and (not found or listed_as_itself):
            await _draw_file(services, experiment_id, path)
            return
    except SubmarineError as failure:
        parts.notice(str(failure), bad=True)
        return
    if not found:
        with parts.empty("No artifacts yet", "What the code logs through MLflow, its models and its logs appear here."):
            return
    rows: list[parts.Row] = [
        {
            "name": PurePosixPath(one.path).name + ("/" if one.is_dir else ""),
            "size": "" if one.is_dir else size(one.size),
            "href": _address(experiment_id, one.path),
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


def _address(experiment_id: str, path: str) -> str:
    return f"{addresses.experiment(experiment_id)}?tab=artifacts&path={quote(path)}"


def _link(experiment_id: str, path: str, name: str) -> None:
    parts.link(name, _address(experiment_id, path))


async def _draw_file(services: Services, experiment_id: str, path: str) -> None:
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
    limit = MAX_IMAGE if suffix in _IMAGES or suffix == ".ipynb" else MAX_TEXT

    def read() -> tuple[bytes, int]:
        with services.experiments.results.artifact(experiment_id, path) as file, file.open("rb") as opened:
            return opened.read(limit), file.stat().st_size

    content, total = await asyncio.to_thread(read)
    with parts.card():
        with parts.row():
            parts.heading(name).classes("grow anywhere")
            parts.text(size(total), classes="quiet small")
            address = f"/api/v1/experiment/{quote(experiment_id)}/artifact?path={quote(path)}"
            parts.link("Download", address)
            if suffix in _PAGES:
                parts.link("Open", artifact_page(experiment_id, path), new_tab=True)
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
            parts.text(f"The first {size(len(content))} are shown.", "p", "quiet small")


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
