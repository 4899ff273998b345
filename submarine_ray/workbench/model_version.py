"""One version of a model: where it comes from, what it takes and gives, and what may be done with it."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from starlette.requests import Request

from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.models.service import STAGES
from submarine_ray.spec.answers.models import ModelSignature, ModelVersion
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.models import ModelVersionPatch
from submarine_ray.spec.places import ObjectKind, version_key
from submarine_ray.spec.serving import EndpointStatus, ServeSpec
from submarine_ray.workbench import addresses, dialogs, opened, parts, try_it
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.load import state
from submarine_ray.workbench.problems import parsed


def add(bench: Bench) -> None:
    @bench.route("/models/{name}/{version}")
    async def model_version(request: Request, name: str, version: int) -> None:
        async with bench.page(request, f"{name} v{version}", "/models") as page:
            await asyncio.to_thread(bench.services.models.version, name, version)
            opened.note(bench.services, ObjectKind.MODEL_VERSION, version_key(name, version))
            shown = _Version(bench, name, version)
            await shown.draw()
            page.live(shown.look, f"endpoint:{name}-{version}")


class _Version:
    def __init__(self, bench: Bench, name: str, version: int) -> None:
        self._models = bench.services.models
        self._serving = bench.services.serving
        self._clusters = bench.services.clusters
        self._at = (name, version)

    async def draw(self) -> None:
        name, version = self._at
        parts.link(name, addresses.model(name), classes="quiet")
        with parts.row():
            parts.heading(f"{name} v{version}", 1).classes("grow anywhere")
            parts.button("Edit", self._edit, "edit", "outline")
            parts.button("Delete", self._delete, "delete", "danger")
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                facts = ui.element("div")
                with parts.card("Signature"):
                    signature = await self._draw_signature()
            served = ui.element("div").classes("stack")
        self._refresh = await parts.redrawn(facts, self._draw_facts, self._models.version, *self._at)
        self.look = await parts.redrawn(served, lambda found: self._draw_endpoint(found, signature), self._endpoint)

    async def _draw_signature(self) -> ModelSignature | None:
        try:
            found = await asyncio.to_thread(self._models.signature, *self._at)
        except SubmarineError as failure:
            parts.text(str(failure), "p", "quiet")
            return None
        if not found.inputs:
            said = "The model was saved without a signature. Pass an input example to save_model to add one."
            parts.text(said, "p", "quiet")
        for columns, label in ((found.inputs, "Inputs"), (found.outputs, "Outputs")):
            if columns:
                parts.text(label).style("font-weight: 600")
                for column in columns:
                    parts.text(try_it.describe([column]), "code", "anywhere")
        return found

    def _endpoint(self) -> Endpoint | None:
        try:
            return self._serving.get(*self._at)
        except NotFound:
            return None

    def _draw_endpoint(self, found: Endpoint | None, signature: ModelSignature | None) -> None:
        if found is None:
            with parts.empty("Not served", "Deploy it as an endpoint to send requests and to try it here."):
                parts.button("Deploy", self._deploy, "bolt", "main")
            return
        with parts.card("Endpoint"), parts.row():
            parts.link(found.invocations_url, addresses.endpoint(*self._at), classes="anywhere")
            parts.row("grow")
            parts.badge(found.status, state(found.status))
        if found.status == EndpointStatus.RUNNING:
            outgoing = partial(self._clusters.addresses.outgoing, found.cluster)
            try_it.draw(found.invocations_url, signature, outgoing)

    def _draw_facts(self, found: ModelVersion) -> None:
        self._found = found

        async def move(event: ValueChangeEventArguments[str]) -> None:
            patch = ModelVersionPatch(name=self._at[0], version=self._at[1], current_stage=event.value)
            if await parts.attempt(self._models.patch_version, patch):
                parts.tell(f"Stage is now {event.value}")

        def draw_stage() -> None:
            stages = [*dict.fromkeys([*STAGES.values(), found.current_stage])]
            stage = ui.select(stages, value=found.current_stage, on_change=move)
            stage.props('dense outlined aria-label="Stage"')

        def draw_experiment(id: str) -> None:
            parts.link(id, addresses.experiment(id))

        with parts.card("Version"):
            parts.facts(
                [
                    ("Stage", draw_stage),
                    ("Experiment", partial(draw_experiment, found.experiment_id) if found.experiment_id else None),
                    ("Dataset", found.dataset),
                    ("Type", found.model_type),
                    ("Description", found.description),
                    ("Tags", lambda: parts.tags(found.tags, self._tag)),
                    ("Created", lambda: parts.ago(found.creation_time)),
                    ("Source", lambda: parts.text(found.source or "–", "code", "anywhere")),
                ]
            )

    async def _tag(self, tag: str, wanted: bool) -> None:
        if await parts.attempt(self._models.tag_version, *self._at, tag, wanted):
            await self._refresh()

    async def _edit(self) -> None:
        name, version = self._at
        with dialogs.dialog("Edit version") as dialog:
            dataset = ui.input("Training dataset", value=self._found.dataset or "")
            dataset.props("outlined dense autofocus")
            note = ui.textarea("Description", value=self._found.description or "").props("outlined autogrow")

            async def save() -> None:
                said = {"name": name, "version": version, "description": note.value, "dataset": dataset.value}
                patch = parsed(ModelVersionPatch, said, note)
                if patch and await parts.attempt(self._models.patch_version, patch):
                    dialog.submit(True)

            saved = await dialogs.submitted(dialog, "Save", save)
        if saved:
            await self._refresh()

    async def _delete(self) -> None:
        name, version = self._at
        if await dialogs.confirmed(
            f"Delete version {version} of {name}?", "Its files stay in the experiment's artifacts.", "Delete"
        ) and await parts.attempt(self._models.delete_version, name, version):
            ui.navigate.to(addresses.model(name))

    async def _deploy(self) -> None:
        clusters = await asyncio.to_thread(self._clusters.names)
        with dialogs.dialog(f"Deploy {self._at[0]} v{self._at[1]}") as dialog:
            parts.text("The version moves to the stage Production.", "p", "quiet")
            replicas = parts.number("Replicas", 1).props("outlined dense autofocus")
            resources = ui.input("Resources per replica, e.g. cpu=1,gpu=1").props("outlined dense")
            cluster = ui.select(clusters, label="Cluster", value=self._clusters.default).props("outlined dense")

            async def deploy() -> None:
                said = {
                    "modelName": self._at[0], "modelVersion": self._at[1], "replicas": replicas.value,
                    "resources": resources.value or None, "cluster": cluster.value,
                }  # fmt: skip
                spec = parsed(ServeSpec, said, replicas)
                if spec and await parts.attempt(self._serving.create, spec):
                    dialog.submit(True)

            asked = await dialogs.submitted(dialog, "Deploy", deploy)
        if asked:
            ui.navigate.to(addresses.endpoint(*self._at))
