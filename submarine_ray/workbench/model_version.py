"""One version of a model: where it comes from, what it takes and gives, and what may be done with it."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.spec.answers.models import (
    ModelColumn,
    ModelFiles,
    ModelSignature,
    ModelVersion,
    ModelVersionDetails,
)
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.spec.models import ModelVersionPatch
from submarine_ray.spec.places import ObjectKind, version_key
from submarine_ray.spec.serving import EndpointStatus, ServeSpec
from submarine_ray.workbench import (
    addresses,
    dialogs,
    lineage,
    markdown,
    model_rows,
    opened,
    parts,
    promote,
    snippets,
    traffic,
    try_it,
    use_it,
)
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.load import percent, state
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.problems import parsed

COLUMNS_SHOWN = 20  # of a signature on a page of its table
_SIGNATURE = (
    Column("name", "Name", "mono"),
    Column("type", "Type", "mono"),
    Column("shape", "Shape", "mono"),
    Column("needed", "Required", wide=True),
)
_VALUES = (Column("name", "Name", "mono", sortable=True), Column("value", "Value", "wrap", sortable=True))


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
        self._services = bench.services
        self._models = bench.services.models
        self._serving = bench.services.serving
        self._clusters = bench.services.clusters
        self._at = (name, version)

    async def draw(self) -> None:
        name, version = self._at
        parts.link(name, addresses.model(name), classes="quiet anywhere")
        with parts.row():
            parts.heading(f"{name} v{version}", 1).classes("grow anywhere")
            parts.button("Promote", self._promote, "upgrade", "outline")
            parts.button("Edit", self._edit, "edit", "outline")
            parts.button("Delete", self._delete, "delete", "danger")
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                facts = ui.element("div")
                self._note = markdown.InPlace(
                    "description", "", lambda: self._models.version(*self._at).description or "", self._describe
                )
                come_from = ui.element("div")
                results = ui.element("div").classes("stack")
            with ui.element("div").classes("stack"):
                served = ui.element("div").classes("stack")
                own = snippets.Service.of(self._services.settings)
                use_it.card("Load this version.", snippets.model(own, name, None, version))
                with parts.card("Signature"):
                    signature = await self._draw_signature()
        self._refresh = await parts.redrawn(facts, self._draw_facts, self._look)
        look_back = await parts.redrawn(come_from, lineage.draw, self._models.lineage, *self._at)
        await parts.redrawn(results, _draw_results, self._details)
        look_at_endpoint = await parts.redrawn(
            served, lambda found: self._draw_endpoint(found, signature), self._endpoint
        )

        async def look() -> None:
            for refresh in (look_at_endpoint, look_back, self._refresh):
                await refresh()

        self.look = look

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
                parts.heading(f"{label} ({len(columns):,})", 3)
                rows = [_column_row(place, column) for place, column in enumerate(columns)]
                shown = _SIGNATURE if any(column.shape for column in columns) else (*_SIGNATURE[:2], _SIGNATURE[-1])
                parts.table(shown, rows, "id", label, page=COLUMNS_SHOWN if len(rows) > COLUMNS_SHOWN else 0)
        return found

    def _look(self) -> tuple[ModelVersion, ModelVersionDetails]:
        return self._models.version(*self._at), self._details()

    def _details(self) -> ModelVersionDetails:
        name, version = self._at
        (found,) = self._models.details(name, [version])
        return found

    def _endpoint(self) -> tuple[Endpoint | None, float | None]:
        """The version's endpoint, and its part of the shared URL's requests; None without a shared URL."""
        name, version = self._at
        split = traffic.find(self._services.traffic, name)
        share = split.weights.get(version, 0) / sum(split.weights.values()) if split else None
        try:
            return self._serving.get(name, version), share
        except NotFound:
            return None, share

    def _draw_endpoint(self, looked: tuple[Endpoint | None, float | None], signature: ModelSignature | None) -> None:
        found, share = looked
        if found is None:
            with parts.empty("Not served", "Deploy it as an endpoint to send requests and to try it here."):
                parts.button("Deploy", self._deploy, "bolt", "main")
                with parts.row():
                    own = snippets.Service.of(self._services.settings)
                    parts.button("From code", lambda: self._deploy_from_code(own), "code")
            return
        with parts.card("Endpoint"):
            with parts.row():
                parts.link(found.invocations_url, addresses.endpoint(*self._at), classes="anywhere")
                parts.row("grow")
                parts.badge(found.status, state(found.status))
            if share is not None:
                with parts.row():
                    parts.text(f"{percent(share)} of the requests to")
                    parts.link("the shared URL", addresses.traffic(self._at[0]))
        if found.status == EndpointStatus.RUNNING:
            outgoing = partial(self._clusters.addresses.outgoing, found.cluster)
            try_it.draw(found.invocations_url, signature, outgoing)

    def _draw_facts(self, looked: tuple[ModelVersion, ModelVersionDetails]) -> None:
        found, details = looked
        self._found, files = found, details.files
        self._note.show(found.description or "")

        def draw_aliases() -> None:
            for alias in found.aliases:
                parts.text(alias, classes="chip")

        with parts.card("Version"):
            parts.facts(
                [
                    ("Stage", found.current_stage),
                    ("Aliases", draw_aliases if found.aliases else None),
                    ("Registered by", found.user_id),
                    ("Created", lambda: parts.ago(model_rows.moment(found.creation_time))),
                    ("Dataset", found.dataset),
                    ("Type", found.model_type),
                    ("Flavors", ", ".join(files.flavors) if files else None),
                    ("Size", model_rows.size(files.size_bytes) if files else None),
                    ("Saved with", _software(files) if files else None),
                    ("Tags", lambda: parts.tags(found.tags, self._tag)),
                    ("Source", lambda: parts.text(found.source or "–", "code", "anywhere")),
                ]
            )

    async def _tag(self, tag: str, wanted: bool) -> None:
        if await parts.attempt(self._models.tag_version, *self._at, tag, wanted):
            await self._refresh()

    async def _describe(self, written: ui.textarea) -> bool:
        name, version = self._at
        said = {"name": name, "version": version, "description": written.value or ""}
        patch = parsed(ModelVersionPatch, said, written)
        return bool(patch and await parts.attempt(self._models.patch_version, patch))

    async def _promote(self) -> None:
        if await promote.promote(self._services, *self._at):
            await self._refresh()

    async def _edit(self) -> None:
        name, version = self._at
        with dialogs.dialog("Edit version") as dialog:
            dataset = ui.input("Training dataset", value=self._found.dataset or "")
            dataset.props("outlined dense autofocus")

            async def save() -> None:
                said = {"name": name, "version": version, "dataset": dataset.value}
                patch = parsed(ModelVersionPatch, said, dataset)
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

    async def _deploy_from_code(self, own: snippets.Service) -> None:
        name, version = self._at
        await use_it.ask(f"{name} v{version}", "Serve this version.", snippets.version(own, name, version))

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


def _software(files: ModelFiles) -> str:
    said = (("MLflow", files.mlflow_version), ("Python", files.python_version))
    return ", ".join(f"{name} {version}" for name, version in said if version)


def _column_row(place: int, column: ModelColumn) -> parts.Row:
    return {
        "id": place,
        "name": column.name or "–",
        "type": column.type,
        "shape": str(column.shape) if column.shape else "",
        "needed": "yes" if column.required else "optional",
    }


def _draw_results(found: ModelVersionDetails) -> None:
    """What the run that saved the version has logged, and the packages that it needs."""
    values: tuple[tuple[str, dict[str, object]], ...] = (
        ("Metrics", {name: parts.short(value) for name, value in found.metrics.items()}),
        ("Parameters", dict(found.params)),
    )
    for title, each in values:
        if each:
            with parts.card(title):
                rows: list[parts.Row] = [{"name": name, "value": value} for name, value in sorted(each.items())]
                parts.table(_VALUES, rows, "name", title, page=COLUMNS_SHOWN if len(rows) > COLUMNS_SHOWN else 0)
    if found.files and found.files.requirements:
        with parts.card("Packages"), ui.expansion(parts.counted(len(found.files.requirements), "package")):
            parts.block("\n".join(found.files.requirements), "Packages")
