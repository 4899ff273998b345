"""Models that answer over HTTP: all of them, with what they have to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from submarine_ray.serving.service import ServingService
from submarine_ray.spec.answers.serving import Endpoint, EndpointRates
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


@dataclass(frozen=True)
class Asked:
    """An endpoint, and what it has to do."""

    endpoint: Endpoint
    rates: EndpointRates


async def fresh_figures(serving: ServingService) -> list[Asked]:
    """All endpoints, and what each has to do now. Waits for their clusters."""
    await serving.look_at_figures()
    return await asyncio.to_thread(with_figures, serving)


def with_figures(serving: ServingService) -> list[Asked]:
    """All endpoints, and what each has to do, as far as that is known already."""
    figures = serving.all_figures()
    return [Asked(one, figures[one.name]) for one in serving.list_all() if one.name in figures]


def _draw_table(found: list[Asked]) -> None:
    rows = [
        one.model_dump(by_alias=True)
        | {
            "label": f"{one.model_name} v{one.model_version}",
            "href": addresses.endpoint(one.model_name, one.model_version),
            "state": state(one.status),
            "requests": per_second(rates.requests_per_second),
            "latency": latency(rates.latency.p50),
        }
        for one, rates in ((asked.endpoint, asked.rates) for asked in found)
    ]
    if rows:
        parts.table(_COLUMNS, rows, "name", "Endpoints")
        return
    with parts.empty("No endpoints yet", "Deploy a registered model version to create one."):
        parts.button("Models", lambda: ui.navigate.to("/models"), kind="outline")
