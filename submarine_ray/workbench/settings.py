"""How to reach this service from elsewhere, and how its pages look."""

from __future__ import annotations

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from starlette.requests import Request

from submarine_ray.workbench import parts
from submarine_ray.workbench.layout import THEME_COOKIE, Bench, remember_theme


def add(bench: Bench) -> None:
    @bench.route("/settings")
    async def settings(request: Request) -> None:
        async with bench.page(request, "Settings", "/settings"):
            parts.heading("Settings", 1)
            url = bench.services.settings.url
            token = bench.services.settings.token is not None
            with parts.card("Appearance"):
                choice = ui.toggle(
                    {"auto": "System", "light": "Light", "dark": "Dark"},
                    value=request.cookies.get(THEME_COOKIE, "auto"),
                    on_change=_choose,
                )
                choice.props("no-caps unelevated")
            with ui.element("div").classes("tiles wide"):
                said = "export SUBMARINE_TOKEN=…   # the token of this service\n" if token else ""
                install = "# in a clone of the submarine-ray repository\npip install ."
                parts.copyable(f"{install}\nexport SUBMARINE_URL={url}\n{said}submarine list experiment", "CLI")
                parts.copyable(
                    f'from submarine_ray import ExperimentClient\n\nclient = ExperimentClient("{url}")\n'
                    "client.list_experiments()",
                    "Python",
                )
                header = '-H "Authorization: Bearer $SUBMARINE_TOKEN" ' if token else ""
                parts.copyable(f"curl {header}{url}/api/v1/experiment", "curl")
            with parts.card("About"):
                parts.facts([("Version", bench.services.version), ("Service", url)])


def _choose(event: ValueChangeEventArguments[str]) -> None:
    remember_theme(event.value)
    ui.navigate.reload()
