"""A model's shared URL: what passes it, what each version behind it gets, and the weights."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import SubmarineError
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.spec.answers.models import ModelSignature
from submarine_ray.spec.answers.serving import TrafficMetrics, TrafficRates, TrafficWithEvents
from submarine_ray.spec.serving import EndpointStatus
from submarine_ray.workbench import addresses, load, parts, snippets, timeline, traffic, try_it, use_it
from submarine_ray.workbench.endpoint import is_registered, unregistered
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services


def add(bench: Bench) -> None:
    @bench.route("/endpoints/{name}")
    async def split(request: Request, name: str) -> None:
        async with bench.page(request, f"{name}: shared URL", "/endpoints", has_charts=True) as page:
            found = await asyncio.to_thread(bench.services.traffic.get, name)
            shown = _Split(bench.services, found)
            await shown.draw()
            page.live(shown.look, "endpoint", seconds=load.LOAD_SECONDS)


class _Split:
    def __init__(self, services: Services, found: TrafficWithEvents) -> None:
        self._services = services
        self._found: TrafficWithEvents | None = found
        self._name = found.model_name
        self._url = found.invocations_url

    async def draw(self) -> None:
        parts.link("Endpoints", "/endpoints", classes="quiet")
        with parts.row():
            parts.heading(self._name, 1).classes("anywhere")
            parts.text("shared URL", classes="chip")
            self._badge = parts.badge(None)
        self._why = ui.element("div").classes("stack")
        shares = ui.element("div")
        metrics = ui.element("div").classes("stack")
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                with ui.element("div"):
                    self._look_at_weights = await traffic.TrafficCard(self._services, self._name, True).draw()
                signature, outgoing = await asyncio.to_thread(self._signature), self._services.clusters.addresses
                cluster = self._found.cluster if self._found else ""
                try_it.draw(self._url, signature, partial(outgoing.outgoing, cluster))
                own = snippets.Service.of(self._services.settings)
                example = (signature.example if signature else None) or try_it.EXAMPLE
                use_it.card("Send it a request.", snippets.shared_url(own, self._name, self._url, example))
            with ui.element("div").classes("stack"):
                self._facts = ui.element("div").classes("stack")
        self._served = await run_query(self._endpoints)
        self._gone = await asyncio.to_thread(self._unregistered)
        self._show()
        service = self._services.traffic
        self._look_at_shares = await parts.redrawn(shares, self._draw_shares, service.all_rates)
        # Only clusters with one Ray Serve for all have shared URLs, and these tell their metrics.
        self._look_at_metrics = load.later(metrics, True, _metrics, service, self._name)

    def _versions(self) -> list[int]:
        return sorted(self._found.weights) if self._found else []

    def _signature(self) -> ModelSignature | None:
        for version in self._versions():
            try:
                return self._services.models.signature(self._name, version)
            except SubmarineError:  # it may have been deleted before its endpoint
                continue
        return None

    def _endpoints(self) -> set[int]:
        return set(self._services.serving.served(self._name))

    def _unregistered(self) -> list[int]:
        """The versions that an endpoint has outlived."""
        served = [one for one in self._versions() if one in self._served]
        return [one for one in served if not is_registered(self._services, self._name, one)]

    def _show(self) -> None:
        found = self._found
        self._why.clear()
        self._facts.clear()
        if found is None:
            parts.show_badge(self._badge, "Ended", "off")
            with self._why:
                parts.notice("The traffic split has ended. Each version keeps its own URL.")
            return
        parts.show_badge(self._badge, found.status, load.state(found.status))
        with self._why:
            if found.message:
                parts.notice(found.message, bad=found.status == EndpointStatus.FAILED)
            for version in sorted(found.weights.keys() - self._served):
                said = f"Version {version} has a weight and no endpoint: the other versions get its share."
                parts.notice(said, bad=True)
            for version in self._gone:
                unregistered(self._name, version)
        with self._facts:
            with parts.card("Shared URL"):
                parts.facts(
                    [
                        ("URL", self._draw_url),
                        ("Cluster", lambda: parts.link(found.cluster, addresses.cluster(found.cluster))),
                        ("Model", lambda: parts.link(self._name, addresses.model(self._name))),
                        ("Created", lambda: parts.ago(found.created_time)),
                    ]
                )
            timeline.draw(found.events)

    def _draw_url(self) -> None:
        with parts.row():
            parts.text(self._url, "code", "anywhere")
            parts.copy_button(self._url, "Copy the shared URL")

    def _draw_shares(self, found: dict[str, TrafficRates]) -> None:
        if mine := found.get(self._name):
            with parts.card("Versions"):
                parts.text("Since the weights were last set.", "p", "quiet small")
                load.draw_shares(self._name, mine.versions)

    async def look(self) -> None:
        found = await run_query(traffic.find, self._services.traffic, self._name)
        served = await run_query(self._endpoints)
        if (found, served) != (self._found, self._served):
            self._found, self._served = found, served
            self._show()
        await self._look_at_weights()
        if found is not None:
            await self._look_at_metrics()
            await self._look_at_shares()


async def _metrics(service: TrafficService, name: str) -> TrafficMetrics | None:
    try:
        return await service.ask_metrics(name)
    except SubmarineError:
        return None
