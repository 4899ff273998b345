"""How a model's requests are shared out to its served versions: what is set, and a form to set it."""

from __future__ import annotations

from dataclasses import dataclass

from nicegui import ui

from submarine_ray.core.errors import NotFound
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.spec.answers.serving import Endpoint, Traffic, TrafficRates, TrafficWithEvents
from submarine_ray.spec.serving import TrafficSpec
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.load import draw_shares, percent, state
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.services import Services


def find(traffic: TrafficService, model_name: str) -> TrafficWithEvents | None:
    """How the model's requests are split; None if they are not."""
    try:
        return traffic.get(model_name)
    except NotFound:
        return None


@dataclass(frozen=True)
class _Found:
    """What the card shows; the rates as far as they are known already."""

    served: list[Endpoint]
    split: Traffic | None
    rates: TrafficRates | None


class TrafficCard:
    """The card of one model; nothing is drawn until one of its versions is served. `is_own_page`: it stands on the
    page of the shared URL, which has the rest.
    """

    def __init__(self, services: Services, model_name: str, is_own_page: bool = False) -> None:
        self._traffic = services.traffic
        self._serving = services.serving
        self._name = model_name
        self._is_own_page = is_own_page

    async def draw(self) -> parts.Refresh:
        """Draw it; answers what does so again if something has changed."""
        self._refresh = await parts.redrawn(ui.element("div"), self._draw, self._look)
        return self._refresh

    def _look(self) -> _Found:
        served = [one for one in self._serving.list_all() if one.model_name == self._name]
        split = find(self._traffic, self._name)
        rates = self._traffic.all_rates().get(self._name) if split and not self._is_own_page else None
        return _Found(served, split, rates)

    def _draw(self, found: _Found) -> None:
        served, split = found.served, found.split
        if not served:
            return
        with parts.card("Weights" if self._is_own_page else "Traffic"):
            if split and not self._is_own_page:
                self._draw_split(split, found.rates)
            elif not split:
                parts.text("One URL for several versions. Each version gets its share of the requests.", "p", "quiet")
            weights = split.weights if split else {}
            fields: dict[int, ui.number] = {}
            whole = sum(weights.values())
            with ui.element("div").classes("fields"):
                for one in served:
                    version = one.model_version
                    weight = weights.get(version, 0 if split else 100)
                    label = f"Weight of version {version}" + (f" ({percent(weight / whole)})" if whole else "")
                    fields[version] = parts.number(label, weight).props("outlined dense")
            with parts.row():
                parts.link("Endpoints", "/endpoints")
                parts.row("grow")
                if split:
                    parts.button("End traffic split", self._stop, kind="danger")
                parts.button(
                    "Change weights" if split else "Split traffic", lambda: self._share(fields), kind="outline"
                )

    def _draw_split(self, split: Traffic, rates: TrafficRates | None) -> None:
        with parts.row():
            parts.text(split.invocations_url, "code", "anywhere")
            parts.copy_button(split.invocations_url, "Copy the shared URL")
            parts.row("grow")
            parts.badge(split.status, state(split.status))
            parts.link("Requests and latency", addresses.traffic(self._name))
        if split.message:
            parts.notice(split.message)
        if rates:
            draw_shares(self._name, rates.versions)

    async def _share(self, fields: dict[int, ui.number]) -> None:
        first = next(iter(fields.values()))
        # A version at 0 takes nothing; leaving it out also lets its endpoint be deleted.
        weights = {version: field.value for version, field in fields.items() if field.value}
        spec = parsed(TrafficSpec, {"weights": weights}, first)
        if spec and await parts.attempt(self._traffic.put, self._name, spec):
            await self._refresh()

    async def _stop(self) -> None:
        consequence = "The shared URL stops answering. Each version's own URL stays."
        if await dialogs.confirmed(f"End the traffic split of {self._name}?", consequence, "End traffic split") and (
            await parts.attempt(self._traffic.delete, self._name)
        ):
            await self._refresh()
