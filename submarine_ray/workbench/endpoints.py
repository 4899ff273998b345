"""The list of endpoints and of shared URLs, with their request rates and latencies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from submarine_ray.serving.service import ServingService
from submarine_ray.spec.answers.serving import Endpoint, EndpointRates, Traffic, TrafficRates
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.load import LOAD_SECONDS, cells, percent, state
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.services import Services

_COLUMNS = (
    Column("label", "Model", "named"),
    Column("status", "Status", "status"),
    Column("invocationsUrl", "URL", "copy"),
    Column("requests", "Requests", right=True),
    Column("errors", "Errors", wide=True, right=True),
    Column("p50", "p50", wide=True, right=True),
    Column("p99", "p99", wide=True, right=True),
    Column("replicas", "Replicas", wide=True, right=True),
    Column("cluster", "Cluster", wide=True),
    Column("createdTime", "Created", "ago", wide=True),
    Column("message", "Message", wide=True),
)


def add(bench: Bench) -> None:
    services = bench.services

    @bench.route("/endpoints")
    async def all_endpoints(request: Request) -> None:
        async with bench.page(request, "Endpoints", "/endpoints") as page:
            parts.heading("Endpoints", 1)
            content = ui.element("div")
            await parts.redrawn(content, _draw_table, _look, services)
            refresh = parts.redrawn_later(content, _draw_table, _fresh, services)
            page.live(refresh, "endpoint", seconds=LOAD_SECONDS)


@dataclass(frozen=True)
class Asked:
    """An endpoint and its rates."""

    endpoint: Endpoint
    rates: EndpointRates


@dataclass(frozen=True)
class _Found:
    """What the page shows: endpoints, and shared URLs with their rates by model."""

    endpoints: list[Asked]
    splits: list[Traffic]
    rates: dict[str, TrafficRates]


async def fresh_metrics(serving: ServingService) -> list[Asked]:
    """All endpoints and their current rates. Waits for their clusters."""
    await serving.refresh_metrics()
    return await asyncio.to_thread(with_metrics, serving)


def with_metrics(serving: ServingService) -> list[Asked]:
    """All endpoints and their rates, as far as they are known already."""
    rates = serving.all_rates()
    return [Asked(one, rates[one.name]) for one in serving.list_all() if one.name in rates]


async def _fresh(services: Services) -> _Found:
    await services.serving.refresh_metrics()
    return await asyncio.to_thread(_look, services)


def _look(services: Services) -> _Found:
    return _Found(with_metrics(services.serving), services.traffic.list_all(), services.traffic.all_rates())


def _draw_table(found: _Found) -> None:
    if found.endpoints or found.splits:
        rows = [*map(_split_row, found.splits, (found.rates.get(one.model_name) for one in found.splits))]
        rows += [_endpoint_row(asked, found.rates.get(asked.endpoint.model_name)) for asked in found.endpoints]
        # A shared URL stands above its versions; Python keeps the order of what is equal.
        rows.sort(key=lambda row: (str(row["modelName"]), int(str(row["version"]))))
        columns = _COLUMNS if any(row["message"] for row in rows) else _COLUMNS[:-1]
        parts.table(columns, rows, "id", "Endpoints", page=50 if len(rows) > 50 else 0)
        return
    with parts.empty("No endpoints yet", "Deploy a registered model version to create one."):
        parts.button("Models", lambda: ui.navigate.to("/models"), kind="outline")


def _split_row(split: Traffic, rates: TrafficRates | None) -> parts.Row:
    shares = rates.versions if rates else []
    said = ", ".join(f"v{one.version} {percent(one.wanted)}" for one in shares)
    return {
        **split.model_dump(by_alias=True, exclude={"weights"}),
        "id": f"split {split.model_name}",
        "version": 0,
        "label": split.model_name,
        "why": f"Shared URL: {said}",
        "href": addresses.traffic(split.model_name),
        "state": state(split.status),
        **cells(rates),
    }


def _endpoint_row(asked: Asked, shared: TrafficRates | None) -> parts.Row:
    one = asked.endpoint
    part = next((found for found in shared.versions if found.version == one.model_version), None) if shared else None
    return {
        **one.model_dump(by_alias=True),
        "id": one.name,
        "version": one.model_version,
        "label": f"{one.model_name} v{one.model_version}",
        "why": f"{percent(part.wanted)} of the shared URL" if part else None,
        "href": addresses.endpoint(one.model_name, one.model_version),
        "state": state(one.status),
        **cells(asked.rates),
    }
