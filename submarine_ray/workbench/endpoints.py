"""The list of endpoints, with their request rates and latencies."""

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
    Column("latency", "p50", wide=True, right=True),
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
            await parts.redrawn(content, _draw_table, with_metrics, serving)
            page.live(parts.redrawn_later(content, _draw_table, fresh_metrics, serving), "endpoint")


@dataclass(frozen=True)
class Asked:
    """An endpoint and its rates."""

    endpoint: Endpoint
    rates: EndpointRates


async def fresh_metrics(serving: ServingService) -> list[Asked]:
    """All endpoints and their current rates. Waits for their clusters."""
    await serving.refresh_metrics()
    return await asyncio.to_thread(with_metrics, serving)


def with_metrics(serving: ServingService) -> list[Asked]:
    """All endpoints and their rates, as far as they are known already."""
    rates = serving.all_rates()
    return [Asked(one, rates[one.name]) for one in serving.list_all() if one.name in rates]


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
