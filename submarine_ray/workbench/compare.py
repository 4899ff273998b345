"""Several experiments, attempts or trials side by side: what differs, and their curves in the same charts."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from submarine_ray.workbench import addresses, compare_code, compare_table, parts
from submarine_ray.workbench.addresses import MAX_COMPARED
from submarine_ray.workbench.chart_settings import remember
from submarine_ray.workbench.compare_curves import Curves
from submarine_ray.workbench.compared import Compared, look
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.services import Services


def add(bench: Bench) -> None:
    @bench.route("/compare")
    async def compare(request: Request, ids: str = "") -> None:
        async with bench.page(request, "Compare", "/experiments", has_charts=True):
            wanted = list(dict.fromkeys(id for id in ids.split(",") if id))[:MAX_COMPARED]
            parts.heading("Compare", 1)
            if len(wanted) < 2:
                _draw_nothing()
                return
            found = await asyncio.to_thread(look, bench.services, wanted)
            for id, one in zip(wanted, found, strict=True):
                if one is None:
                    parts.notice(f"Experiment {id[:80]} does not exist.")
            there = [one for one in found if one]
            if there:
                await _draw(bench.services, View(wanted, request), there)
            else:
                _draw_nothing()


class View:
    """What the URL says is shown."""

    def __init__(self, ids: list[str], request: Request) -> None:
        self._ids = ids
        chosen = request.query_params.getlist(addresses.METRIC)
        self.metrics = [key for key in chosen if key] if chosen else None
        self.only_differences = request.query_params.get(addresses.DIFFERENCES) == "1"

    def choose(self, metrics: list[str]) -> None:
        self.metrics = metrics
        self._write()

    def turn(self, only_differences: bool) -> None:
        self.only_differences = only_differences
        self._write()

    def _write(self) -> None:
        metrics = [] if self.metrics is None else self.metrics or [""]
        remember({addresses.METRIC: metrics, addresses.DIFFERENCES: ["1"] if self.only_differences else []})


async def _draw(services: Services, view: View, found: list[Compared]) -> None:
    compare_table.Table(found, view.only_differences, view.turn).draw()
    await compare_code.draw(services.packages, found)
    await Curves(services, found, view.metrics, view.choose).draw()


def _draw_nothing() -> None:
    with parts.empty(
        "Nothing to compare yet", "Select 2 to 100 experiments in the table, or trials of a sweep, and click Compare."
    ):
        parts.button("Choose experiments", lambda: ui.navigate.to("/experiments"), kind="outline")
