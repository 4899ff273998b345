"""The registry: models, their versions, and what may be done with them."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.models import ModelVersionPatch
from submarine_ray.spec.serving import ServeSpec
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.parts import Column

STAGES = ("None", "Staging", "Production", "Archived")
_MODELS = (
    Column("name", "Name", "link", sortable=True),
    Column("description", "Description", wide=True),
    Column("tags", "Tags", "chips", wide=True),
    Column("lastUpdatedTime", "Changed", "ago", sortable=True),
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
                rows = [one | {"href": addresses.model(one["name"])} for one in found]
                parts.table(_MODELS, rows, "name", "Models", page=50 if len(rows) > 50 else 0)
            else:
                with parts.empty("No models yet", "An experiment that saved a model can register it, from its page."):
                    parts.button("Experiments", lambda: ui.navigate.to("/experiments?status=Succeeded"), kind="outline")

    @bench.route("/models/{name}")
    async def model(request: Request, name: str) -> None:
        async with bench.page(request, name, "/models"):
            found, versions = await asyncio.gather(
                asyncio.to_thread(models.get, name), asyncio.to_thread(models.versions, name)
            )
            parts.link("Models", "/models", classes="quiet")
            with parts.row():
                parts.heading(name, 1).classes("grow")
                parts.button("Delete", lambda: _delete(bench, name), "delete", "danger")
            parts.text(found["description"] or "", "p", "quiet anywhere")
            rows = [
                one | {"label": f"Version {one['version']}", "href": addresses.model(name, one["version"])}
                for one in sorted(versions, key=lambda one: -int(one["version"]))
            ]
            parts.table(_VERSIONS, rows, "version", "Versions", page=50 if len(rows) > 50 else 0)

    @bench.route("/models/{name}/{version}")
    async def model_version(request: Request, name: str, version: int) -> None:
        async with bench.page(request, f"{name} v{version}", "/models"):
            found = await asyncio.to_thread(models.version, name, version)
            _draw_version(bench, found)


async def _delete(bench: Bench, name: str) -> None:
    if not await parts.confirmed(f"Delete {name} with all its versions?", "This cannot be undone.", "Delete"):
        return
    if await parts.attempt(bench.services.models.delete, name):
        ui.navigate.to("/models")


def _draw_version(bench: Bench, found: dict[str, Any]) -> None:
    name, version = found["name"], int(found["version"])
    parts.link(name, addresses.model(name), classes="quiet")
    with parts.row():
        parts.heading(f"{name} v{version}", 1).classes("grow")
        parts.button("Deploy", lambda: _deploy(bench, name, version), "bolt", "main")
    with parts.card():

        async def move(event: Any) -> None:
            patch = ModelVersionPatch(name=name, version=version, current_stage=event.value)
            if await parts.attempt(bench.services.models.patch_version, patch):
                parts.tell(f"In stage {event.value} now")

        def draw_stage() -> None:
            stage = ui.select(
                [*dict.fromkeys([*STAGES, found["currentStage"]])], value=found["currentStage"], on_change=move
            )
            stage.props('dense outlined aria-label="Stage"')

        def draw_experiment() -> None:
            parts.link(found["experimentId"], addresses.experiment(found["experimentId"]))

        parts.facts(
            [
                ("Stage", draw_stage),
                ("Experiment", draw_experiment if found["experimentId"] else None),
                ("Dataset", found["dataset"]),
                ("Type", found["modelType"]),
                ("Description", found["description"]),
                ("Created", lambda: parts.ago(found["creationTime"])),
                ("Source", lambda: parts.text(found["source"] or "–", "code", "anywhere")),
            ]
        )


async def _deploy(bench: Bench, name: str, version: int) -> None:
    spec = ServeSpec(model_name=name, model_version=version)
    if await parts.attempt(bench.services.serving.create, spec):
        ui.navigate.to(addresses.endpoint(name, version))
