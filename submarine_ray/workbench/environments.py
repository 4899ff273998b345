"""Named sets of packages and images."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.environments import NewEnvironment
from submarine_ray.workbench import parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.problems import parsed


def add(bench: Bench) -> None:
    @bench.route("/environments")
    async def environments(request: Request) -> None:
        async with bench.page(request, "Environments", "/environments"):
            await _Environments(bench).draw()


class _Environments:
    def __init__(self, bench: Bench) -> None:
        self._environments = bench.services.environments

    async def draw(self) -> None:
        with parts.row():
            parts.heading("Environments", 1).classes("grow")
            parts.button("New environment", self._create, "add", "main")
        self._content = ui.element("div").classes("tiles")
        await self._load()

    async def _load(self) -> None:
        found, _ = await asyncio.to_thread(self._environments.list_page, None, None)
        self._content.clear()
        with self._content:
            for one in found:
                self._draw_card(one["environmentSpec"])
            if not found:
                parts.empty(
                    "No environments yet", "Packages and an image under one name, for experiments and notebooks."
                )

    def _draw_card(self, spec: dict[str, Any]) -> None:
        kernel = spec.get("kernelSpec") or {}
        packages = [*(kernel.get("pipDependencies") or []), *(kernel.get("condaDependencies") or [])]
        with parts.card():
            with parts.row():
                parts.heading(spec["name"]).classes("grow anywhere")
                parts.icon_button(f"Delete {spec['name']}", "delete", lambda: self._delete(spec["name"]))
            parts.text(spec.get("description") or "", "p", "quiet anywhere")
            parts.facts([("Image", spec.get("dockerImage") or spec.get("image"))])
            with parts.row():
                for package in packages:
                    parts.text(package, classes="chip mono")

    async def _create(self) -> None:
        with ui.dialog() as dialog, ui.card().classes("dialog"):
            parts.heading("New environment")
            name = ui.input("Name").props("outlined dense autofocus")
            image = ui.input("Container image").props("outlined dense")
            packages = ui.textarea("pip packages, one a line").props("outlined dense autogrow")
            note = ui.input("Description").props("outlined dense")

            async def create() -> None:
                listed = [line.strip() for line in (packages.value or "").splitlines() if line.strip()]
                document = {
                    "name": name.value,
                    "dockerImage": image.value or None,
                    "description": note.value or None,
                    "kernelSpec": {"pipDependencies": listed} if listed else None,
                }
                given = {key: value for key, value in document.items() if value is not None}
                spec = parsed(NewEnvironment, given, name)
                if spec and await parts.attempt(self._environments.create, spec):
                    dialog.submit(True)

            made = await parts.submitted(dialog, "Create", create)
        if made:
            await self._load()

    async def _delete(self, name: str) -> None:
        if not await parts.confirmed(f"Delete {name}?", "What runs in it goes on: it has its own copy.", "Delete"):
            return
        if await parts.attempt(self._environments.delete, name):
            await self._load()
