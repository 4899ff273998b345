"""How a model's requests are shared out to its served versions: what is set, and a form to set it."""

from __future__ import annotations

from nicegui import ui

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.serving import Endpoint, Traffic
from submarine_ray.spec.serving import TrafficSpec
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.endpoint import state
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.services import Services


class TrafficCard:
    """The card of one model; nothing is drawn until one of its versions is served."""

    def __init__(self, services: Services, model_name: str) -> None:
        self._traffic = services.traffic
        self._serving = services.serving
        self._name = model_name

    async def draw(self) -> parts.Refresh:
        """Draw it; answers what does so again if something has changed."""
        self._refresh = await parts.redrawn(ui.element("div"), self._draw, self._look)
        return self._refresh

    def _look(self) -> tuple[list[Endpoint], Traffic | None]:
        served = [one for one in self._serving.list_all() if one.model_name == self._name]
        try:
            return served, self._traffic.get(self._name)
        except NotFound:
            return served, None

    def _draw(self, found: tuple[list[Endpoint], Traffic | None]) -> None:
        served, shared = found
        if not served:
            return
        weights = shared.weights if shared else {}
        with parts.card("Traffic"):
            if shared:
                with parts.row():
                    parts.text(shared.invocations_url, "code", "anywhere grow")
                    parts.badge(shared.status, state(shared.status))
                if shared.message:
                    parts.notice(shared.message)
            else:
                parts.text("One URL for several versions; each gets its share of the requests.", "p", "quiet")
            fields: dict[int, ui.number] = {}
            whole = sum(weights.values())
            with ui.element("div").classes("fields"):
                for one in served:
                    version = one.model_version
                    weight = weights.get(version, 0 if shared else 100)
                    label = f"Weight of version {version}" + (f" ({weight / whole:.0%})" if whole else "")
                    fields[version] = ui.number(label, value=weight, min=0, format="%d").props("outlined dense")
            with parts.row():
                parts.link("Endpoints", "/endpoints")
                parts.row("grow")
                if shared:
                    parts.button("End the traffic split", self._stop, kind="danger")
                parts.button("Change" if shared else "Share", lambda: self._share(fields), kind="outline")

    async def _share(self, fields: dict[int, ui.number]) -> None:
        first = next(iter(fields.values()))
        # A version at 0 takes nothing; leaving it out also lets its endpoint be deleted.
        weights = {version: field.value for version, field in fields.items() if field.value}
        spec = parsed(TrafficSpec, {"weights": weights}, first)
        if spec and await parts.attempt(self._traffic.put, self._name, spec):
            await self._refresh()

    async def _stop(self) -> None:
        consequence = "The common URL goes; each version's own goes on answering."
        if await dialogs.confirmed(
            f"End the traffic split {self._name}'s requests?", consequence, "End the traffic split"
        ) and (await parts.attempt(self._traffic.delete, self._name)):
            await self._refresh()
