"""The registry: models, and the versions of one."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.models import ModelVersion, RegisteredModel
from submarine_ray.spec.models import RegisteredModelPatch
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import addresses, dialogs, markdown, opened, parts
from submarine_ray.workbench.endpoint import unregistered
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.traffic import TrafficCard

_MODELS = (
    Column("name", "Name", "link", sortable=True),
    Column("description", "Description", wide=True),
    Column("tags", "Tags", "chips", wide=True),
    Column("lastUpdatedTime", "Updated", "ago", sortable=True),
)
_VERSIONS = (
    Column("label", "Version", "link"),
    Column("currentStage", "Stage"),
    Column("modelType", "Type", wide=True),
    Column("tags", "Tags", "chips", wide=True),
    Column("creationTime", "Created", "ago"),
)


def add(bench: Bench) -> None:
    models = bench.services.models

    @bench.route("/models")
    async def all_models(request: Request) -> None:
        async with bench.page(request, "Models", "/models"):
            found = await asyncio.to_thread(models.list_all)
            parts.heading("Models", 1)
            if found:
                rows = [one.model_dump(by_alias=True) | {"href": addresses.model(one.name)} for one in found]
                parts.table(_MODELS, rows, "name", "Models", page=50 if len(rows) > 50 else 0)
            else:
                with parts.empty("No models yet", "Register one from the page of the experiment that saved it."):
                    parts.button("Experiments", lambda: ui.navigate.to("/experiments?status=Succeeded"), kind="outline")

    @bench.route("/models/{name}")
    async def model(request: Request, name: str) -> None:
        async with bench.page(request, name, "/models") as page:
            served = await asyncio.to_thread(bench.services.serving.served, name)
            try:
                there = await _Model(bench, name).draw()
            except NotFound:
                if not served:
                    raise
                parts.heading(name, 1)
                parts.notice(f"The registered model {name} was deleted; its endpoints still exist.", bad=True)
            else:
                for version in served.keys() - there:
                    unregistered(name, version)
            traffic = await TrafficCard(bench.services, name).draw()
            page.live(traffic, "endpoint")


class _Model:
    def __init__(self, bench: Bench, name: str) -> None:
        self._services = bench.services
        self._models = bench.services.models
        self._name = name

    async def draw(self) -> set[int]:
        """Answers which versions there are. Raises NotFound before anything is drawn."""
        found = await asyncio.to_thread(self._look)
        parts.link("Models", "/models", classes="quiet")
        with parts.row():
            parts.heading(self._name, 1).classes("anywhere")
            opened.star(self._services, ObjectKind.MODEL, self._name)
            parts.row("grow")
            parts.button("Rename", self._rename, "edit", "outline")
            parts.button("Delete", self._delete, "delete", "danger")
        self._note = markdown.InPlace("description", found[0].description or "", self._describe)
        self._refresh = await parts.redrawn(ui.element("div").classes("stack"), self._draw, self._look)
        return {one.version for one in found[1]}

    def _look(self) -> tuple[RegisteredModel, list[ModelVersion]]:
        return self._models.get(self._name), self._models.versions(self._name)

    def _draw(self, found: tuple[RegisteredModel, list[ModelVersion]]) -> None:
        self._found, versions = found
        self._note.show(self._found.description or "")
        parts.tags(self._found.tags, self._tag)
        rows = [
            one.model_dump(by_alias=True)
            | {"label": f"Version {one.version}", "href": addresses.model(self._name, one.version)}
            for one in sorted(versions, key=lambda one: -one.version)
        ]
        parts.table(_VERSIONS, rows, "version", "Versions", page=50 if len(rows) > 50 else 0)

    async def _tag(self, tag: str, wanted: bool) -> None:
        if await parts.attempt(self._models.tag, self._name, tag, wanted):
            await self._refresh()

    async def _describe(self, written: ui.textarea, before: str) -> bool:
        patch = parsed(RegisteredModelPatch, {"description": written.value or ""}, written)
        found = await parts.attempt(self._models.get, self._name) if patch else None
        if not patch or not found:
            return False
        if (found.value.description or "") != before:
            parts.tell_failure("Somebody else has changed this description. Reload the page and edit it again.")
            return False
        return await parts.attempt(self._models.patch, self._name, patch) is not None

    async def _rename(self) -> None:
        with dialogs.dialog("Rename model") as dialog:
            parts.text("Its versions, tags and aliases follow.", "p", "quiet")
            name = ui.input("Name", value=self._name).props("outlined dense autofocus")

            async def save() -> None:
                patch = parsed(RegisteredModelPatch, {"name": name.value}, name)
                if patch and await parts.attempt(self._models.patch, self._name, patch):
                    dialog.submit(patch.name)

            renamed = await dialogs.submitted(dialog, "Rename", save)
        if renamed and renamed != self._name:
            ui.navigate.to(addresses.model(renamed))

    async def _delete(self) -> None:
        question = f"Delete {self._name} and all its versions?"
        if await dialogs.confirmed(question, "This cannot be undone.", "Delete") and await parts.attempt(
            self._models.delete, self._name
        ):
            ui.navigate.to("/models")
