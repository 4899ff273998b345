"""Models that answer over HTTP: all of them, with what they have to do."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui
from starlette.requests import Request

from submarine_ray.serving.service import ServingService
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.endpoint import latency, per_second, state
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.parts import Column

_COLUMNS = (
    Column("label", "Model", "link"),
    Column("status", "Status", "status"),
    Column("requests", "Requests", right=True),
    Column("latency", "Half within", wide=True, right=True),
    Column("replicas", "Replicas", wide=True, right=True),
    Column("cluster", "Cluster", wide=True),
    Column("createdTime", "Created", "ago"),
    Column("message", "Message", wide=True),
)


def add(bench: Bench) -> None:
    serving = bench.services.serving

    @bench.route("/endpoints")
    async def all_endpoints(request: Request) -> None:
        async with bench.page(request, "Endpoints", "/endpoints") as page:
            parts.heading("Endpoints", 1)
            content = ui.element("div")
            await parts.redrawn(content, _draw_table, with_figures, serving)
            page.live(parts.redrawn_later(content, _draw_table, fresh_figures, serving), "endpoint")


async def fresh_figures(serving: ServingService) -> list[dict[str, Any]]:
    """All endpoints, and what each has to do now. Waits for their clusters."""
    await serving.look_at_figures()
    return await asyncio.to_thread(with_figures, serving)


def with_figures(serving: ServingService) -> list[dict[str, Any]]:
    """All endpoints, and what each has to do, as far as that is known already."""
    figures = serving.all_figures()
    return [
        one
        | {
            "requests": per_second(figures[one["name"]]["requestsPerSecond"]),
            "latency": latency(figures[one["name"]], "p50"),
        }
        for one in serving.list_all()
        if one["name"] in figures
    ]


def _draw_table(found: list[dict[str, Any]]) -> None:
    rows = [
        one
        | {
            "label": f"{one['modelName']} v{one['modelVersion']}",
            "href": addresses.endpoint(one["modelName"], one["modelVersion"]),
            "state": state(one["status"]),
        }
        for one in found
    ]
    if rows:
        parts.table(_COLUMNS, rows, "name", "Endpoints")
        return
    with parts.empty("No endpoints yet", "A registered model's version becomes one with Deploy."):
        parts.button("Models", lambda: ui.navigate.to("/models"), kind="outline")
