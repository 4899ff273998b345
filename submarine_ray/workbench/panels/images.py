"""Images that runs have stored, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import quote, urlencode

from nicegui import ui

from submarine_ray.core.errors import SubmarineError
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.services import Services

MOST = 24
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class Images:
    """The image at a path, of each of some runs: (id, label)."""

    def __init__(self, services: Services, path: str, runs: Sequence[tuple[str, str]]) -> None:
        self._results = services.experiments.results
        self._path = path.strip("/")
        self._runs = runs[:MOST]

    def draw(self) -> None:
        """Draw them once they have been looked for: an artifact store may be slow."""
        place = ui.element("div").classes("panel-images").props("tabindex=0 role=region aria-label=Images")

        async def fill() -> None:
            found = await asyncio.gather(*(asyncio.to_thread(self._find, id) for id, _ in self._runs))
            if place.is_deleted:
                return
            with place:
                self._fill(found)

        ui.timer(0, fill, once=True)

    def _fill(self, found: Sequence[str | None]) -> None:
        there = [(id, label, path) for (id, label), path in zip(self._runs, found, strict=True) if path]
        for id, label, path in there:
            with parts.element("figure"):
                parts.element("img", src=_address(id, path), alt=f"{path} of {label}", loading="lazy")
                with parts.element("figcaption"):
                    parts.link(label, addresses.experiment(id, tab="artifacts", path=path))
        if not there:
            parts.text(f"No run has an image at {self._path}.", "p", "quiet small nothing anywhere")

    def _find(self, id: str) -> str | None:
        """The path itself, or the last image of the directory that it is."""
        try:
            listed = self._results.artifacts(id, self._path)
            if PurePosixPath(self._path).suffix.lower() in SUFFIXES and not listed:
                above = str(PurePosixPath(self._path).parent)
                listed = self._results.artifacts(id, "" if above == "." else above)
                return self._path if self._path in [one.path for one in listed] else None
        except SubmarineError:  # a run whose artifacts are gone has no image
            return None
        return max((one.path for one in listed if PurePosixPath(one.path).suffix.lower() in SUFFIXES), default=None)


def _address(id: str, path: str) -> str:
    return f"/api/v1/experiment/{quote(id, safe='')}/artifact?{urlencode({'path': path})}"
