"""The registry: models, and the page of one with its versions, aliases and description."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.answers.models import ModelVersion, RegisteredModel
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.models import RegisteredModelPatch
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import addresses, aliases, dialogs, markdown, opened, parts, snippets, use_it
from submarine_ray.workbench.endpoint import unregistered
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.model_rows import moment
from submarine_ray.workbench.model_versions import Versions
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.services import Services
from submarine_ray.workbench.traffic import TrafficCard

COMPARED = 2  # the newest versions, unless the address says others
_MODELS = (
    Column("name", "Name", "link", sortable=True),
    Column("description", "Description", wide=True),
    Column("aliases", "Aliases", "chips", wide=True),
    Column("tags", "Tags", "chips", wide=True),
    Column("updated", "Updated", "ago", sortable=True),
)


def add(bench: Bench) -> None:
    models = bench.services.models

    @bench.route("/models")
    async def all_models(request: Request) -> None:
        async with bench.page(request, "Models", "/models"):
            found = await asyncio.to_thread(models.list_all)
            parts.heading("Models", 1)
            if found:
                parts.table(_MODELS, [*map(_row, found)], "name", "Models", page=50 if len(found) > 50 else 0)
            else:
                with parts.empty("No models yet", "Register one from the page of the experiment that saved it."):
                    parts.button("Experiments", lambda: ui.navigate.to("/experiments?status=Succeeded"), kind="outline")

    @bench.route("/models/{name}")
    async def model(request: Request, name: str, versions: str = "") -> None:
        async with bench.page(request, name, "/models") as page:
            served = await asyncio.to_thread(bench.services.serving.served, name)
            shown = _Model(bench.services, name, [int(one) for one in versions.split(",") if one.isdecimal()])
            try:
                there = await shown.draw()
            except NotFound:
                if not served:
                    raise
                parts.heading(name, 1)
                parts.notice(f"The registered model {name} was deleted; its endpoints still exist.", bad=True)
                page.live(await TrafficCard(bench.services, name).draw(), "endpoint")
                return
            for version in served.keys() - there:
                unregistered(name, version)
            traffic = await TrafficCard(bench.services, name).draw()

            async def look() -> None:
                await asyncio.gather(shown.look(), traffic())

            page.live(look, "endpoint")


def _row(found: RegisteredModel) -> parts.Row:
    lines = (found.description or "").strip().splitlines()
    return found.model_dump(by_alias=True) | {
        "href": addresses.model(found.name),
        "description": lines[0].lstrip("# ") if lines else None,
        "aliases": [f"{alias}: {version}" for alias, version in found.aliases.items()],
        "updated": moment(found.last_updated_time),
    }


@dataclass(frozen=True)
class _Found:
    """A model as its page shows it."""

    model: RegisteredModel
    versions: list[ModelVersion]
    served: dict[int, Endpoint]


class _Model:
    def __init__(self, services: Services, name: str, chosen: Sequence[int]) -> None:
        self._services = services
        self._models = services.models
        self._name = name
        self._chosen = chosen
        self._versions: Versions | None = None

    async def draw(self) -> set[int]:
        """Answers which versions there are. Raises NotFound before anything is drawn."""
        found = await asyncio.to_thread(self._look)
        numbers = [one.version for one in found.versions]
        parts.link("Models", "/models", classes="quiet")
        with parts.row():
            parts.heading(self._name, 1).classes("anywhere")
            opened.star(self._services, ObjectKind.MODEL, self._name)
            parts.row("grow")
            parts.button("Rename", self._rename, "edit", "outline")
            parts.button("Delete", self._delete, "delete", "danger")
        self._note = markdown.InPlace(
            "description", found.model.description or "", lambda: self._models.get(self._name).description or "",
            self._describe,
        )  # fmt: skip
        self.look = await parts.redrawn(ui.element("div").classes("stack"), self._draw, self._look)
        if numbers:
            chosen = self._chosen or sorted(numbers, reverse=True)[:COMPARED]
            self._versions = Versions(self._services, self._name, chosen)
            parts.heading("Versions")
            self._versions.draw(found.versions, found.served)
            await self._versions.compare()
            self._draw_use(found)
        else:
            with parts.empty("No versions yet", "Register a model from the page of the experiment that saved it."):
                parts.button("Experiments", lambda: ui.navigate.to("/experiments?status=Succeeded"), kind="outline")
        return set(numbers)

    def _look(self) -> _Found:
        served = {one.model_version: one for one in self._services.serving.list_all() if one.model_name == self._name}
        return _Found(self._models.get(self._name), self._models.versions(self._name), served)

    def _draw(self, found: _Found) -> None:
        self._note.show(found.model.description or "")
        parts.tags(found.model.tags, self._tag)
        numbers = [one.version for one in found.versions]
        aliases.draw(self._models, self._name, found.model.aliases, numbers, self._again)
        if self._versions:
            self._versions.show(found.versions, found.served)

    def _draw_use(self, found: _Found) -> None:
        alias = next(iter(found.model.aliases), None)
        newest = max((one.version for one in found.versions), default=None)
        own = snippets.Service.of(self._services.settings)
        purpose = f"Load the version that the alias {alias} names." if alias else "Load the newest version."
        use_it.card(purpose, snippets.model(own, self._name, alias, newest))

    async def _again(self) -> None:
        await self.look()

    async def _tag(self, tag: str, wanted: bool) -> None:
        if await parts.attempt(self._models.tag, self._name, tag, wanted):
            await self.look()

    async def _describe(self, written: ui.textarea) -> bool:
        patch = parsed(RegisteredModelPatch, {"description": written.value or ""}, written)
        return bool(patch and await parts.attempt(self._models.patch, self._name, patch))

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
