"""One endpoint: its metrics, its replicas and their logs, and a console that sends it requests."""

from __future__ import annotations

import asyncio
from functools import partial

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.serving.service import ServingService
from submarine_ray.spec.answers.models import ModelSignature
from submarine_ray.spec.answers.serving import Endpoint, EndpointMetrics, EndpointWithEvents, Replica, TrafficWithEvents
from submarine_ray.spec.places import ObjectKind, version_key
from submarine_ray.spec.serving import EndpointPatch, EndpointStatus, ServeSpec
from submarine_ray.workbench import addresses, dialogs, load, opened, parts, snippets, traffic, try_it, use_it
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.load import percent, state
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

LOG_LINES = 2000
MAX_LOGS = 20
_REPLICAS = (
    Column("replicaId", "Replica", "mono"),
    Column("status", "State", "status"),
    Column("node", "Node", wide=True),
    Column("startedTime", "Started", "ago"),
)


def endpoint_link(found: Endpoint) -> None:
    """An endpoint in a list of a card."""
    address = addresses.endpoint(found.model_name, found.model_version)
    parts.link(f"{found.model_name} v{found.model_version}", address).classes("grow anywhere")


def is_registered(services: Services, name: str, version: int) -> bool:
    """Whether the model's version is there; MLflow's own API deletes one that is served, too."""
    try:
        services.models.version(name, version)
    except NotFound:
        return False
    except SubmarineError:  # nobody knows now
        return True
    return True


def unregistered(name: str, version: int) -> None:
    """Say that an endpoint has outlived its version."""
    parts.notice(
        f"Version {version} of {name} is no longer registered. Its endpoint answers while its replicas live, and "
        "cannot start new ones: delete it, or deploy another version.",
        bad=True,
    )


def add(bench: Bench) -> None:
    @bench.route("/endpoints/{name}/{version}")
    async def endpoint(request: Request, name: str, version: int) -> None:
        async with bench.page(request, f"{name} v{version}", "/endpoints", has_charts=True) as page:
            found = await asyncio.to_thread(bench.services.serving.get, name, version)
            content = ui.element("div").classes("stack")
            with content:
                shown = _Endpoint(bench, found, content)
                await shown.draw()
            page.live(shown.look, "endpoint", seconds=load.LOAD_SECONDS)


class _Endpoint:
    def __init__(self, bench: Bench, found: EndpointWithEvents, content: ui.element) -> None:
        self._content = content
        self._is_gone = False
        self._services = bench.services
        self._serving = bench.services.serving
        self._found = found
        self._at = (found.model_name, found.model_version)
        self._split: TrafficWithEvents | None = None

    async def draw(self) -> None:
        name, version = self._at
        self._split = await run_query(traffic.find, self._services.traffic, self._at[0])
        parts.link("Endpoints", "/endpoints", classes="quiet")
        with parts.row():
            parts.heading(f"{name} v{version}", 1)
            opened.star(self._services, ObjectKind.ENDPOINT, version_key(name, version))
            self._badge = parts.badge(None)
            parts.row("grow")
            parts.button("Scale", self._scale, "unfold_more", "outline")
            parts.button("Delete", self._delete, "delete", "danger")
        self._why = ui.element("div")
        if not await asyncio.to_thread(is_registered, self._services, *self._at):
            unregistered(*self._at)
        is_readable = self._services.clusters.capabilities(self._found.cluster).shares_serve
        self._refresh_metrics = load.later(ui.element("div"), is_readable, _metrics, self._serving, *self._at)
        with ui.element("div").classes("pair"):
            with ui.element("div").classes("stack"):
                outgoing = partial(self._services.clusters.addresses.outgoing, self._found.cluster)
                signature = await asyncio.to_thread(self._signature)
                try_it.draw(self._found.invocations_url, signature, outgoing)
                own, url = snippets.Service.of(self._services.settings), self._found.invocations_url
                example = (signature.example if signature else None) or try_it.EXAMPLE
                use_it.card("Send it a request.", snippets.endpoint(own, name, version, url, example))
            with ui.element("div").classes("stack"):
                self._facts = ui.element("div")
                replicas = ui.element("div")
        self._show()
        self._look_at_replicas = parts.redrawn_later(replicas, self._draw_replicas, _replicas, self._serving, *self._at)

    def _signature(self) -> ModelSignature | None:
        try:
            return self._services.models.signature(*self._at)
        except SubmarineError:  # the model may have been deleted before its endpoint
            return None

    def _draw_url(self) -> None:
        with parts.row():
            parts.text(self._found.invocations_url, "code", "anywhere")
            parts.copy_button(self._found.invocations_url, "Copy the URL")

    def _draw_share(self) -> None:
        """Which part of the shared URL's requests it gets."""
        name, version = self._at
        weights = self._split.weights if self._split else {}
        with parts.row():
            parts.text(f"{percent(weights[version] / sum(weights.values()))} of the requests to")
            parts.link("the shared URL", addresses.traffic(name))

    def _show(self) -> None:
        found = self._found
        parts.show_badge(self._badge, found.status, state(found.status))
        self._why.clear()
        if found.message:
            with self._why:
                parts.notice(found.message, bad=found.status == EndpointStatus.FAILED)
        self._facts.clear()
        with self._facts, parts.card("Endpoint"):
            parts.facts(
                [
                    ("URL", self._draw_url),
                    ("Share", self._draw_share if self._split and self._at[1] in self._split.weights else None),
                    ("Replicas", str(found.replicas)),
                    ("Resources", found.resources),
                    ("Cluster", lambda: parts.link(found.cluster, addresses.cluster(found.cluster))),
                    ("Model", lambda: parts.link(found.model_name, addresses.model(*self._at))),
                    ("Created", lambda: parts.ago(found.created_time)),
                ]
            )

    def _draw_replicas(self, found: list[Replica] | None) -> None:
        with parts.card("Replicas"):
            if not found:
                said = "No replicas yet." if found is not None else "The cluster is not responding."
                parts.text(said, "p", "quiet")
                return
            rows = [
                one.model_dump(by_alias=True)
                | {"status": one.state.capitalize(), "state": "good" if one.state == "RUNNING" else "wait"}
                for one in found
            ]
            parts.table(_REPLICAS, rows, "replicaId", "Replicas", page=20 if len(rows) > 20 else 0)
            with parts.row():
                for one in found[:MAX_LOGS]:
                    id = one.replica_id
                    parts.button(f"Log of {id}", lambda id=id: self._show_log(id), "article")

    async def _show_log(self, replica_id: str) -> None:
        found = await parts.attempt(
            partial(self._serving.ask, self._serving.replica_log), *self._at, replica_id, LOG_LINES
        )
        if found is None:
            return
        with dialogs.dialog(f"Last {LOG_LINES} lines of {replica_id}", broad=True) as dialog:
            parts.element("log-view", text=found.value or "", name=replica_id)
            with parts.row():
                parts.row("grow")
                parts.button("Close", lambda: dialog.submit(None), kind="main")
        await dialogs.answered(dialog)

    async def look(self) -> None:
        if self._is_gone:
            return
        found = await run_query(self._serving.get, *self._at)
        split = await run_query(traffic.find, self._services.traffic, self._at[0])
        if (found, split) != (self._found, self._split):
            self._found, self._split = found, split
            self._show()
        await self._refresh_metrics()
        await self._look_at_replicas()

    async def _scale(self) -> None:
        with dialogs.dialog("Scale endpoint") as dialog:
            parts.text("New replicas start before old ones stop, so no request is lost.", "p", "quiet")
            number = parts.number("Replicas", self._found.replicas)
            number.props("outlined dense autofocus")

            async def scale() -> None:
                patch = parsed(EndpointPatch, {"replicas": number.value}, number)
                if patch and await parts.attempt(self._serving.scale, *self._at, patch):
                    dialog.submit(True)

            changed = await dialogs.submitted(dialog, "Scale", scale)
        if changed:
            await self.look()

    async def _delete(self) -> None:
        name, version = self._at
        if not await dialogs.confirmed(
            f"Delete the endpoint of {name} v{version}?", "It stops serving requests at once.", "Delete"
        ):
            return
        if await parts.attempt(self._serving.delete, ServeSpec(model_name=name, model_version=version)):
            self._is_gone = True
            found = self._found
            again = ServeSpec(
                model_name=name, model_version=version, replicas=found.replicas, resources=found.resources,
                cluster=found.cluster,
            )  # fmt: skip
            back = ("Endpoints", "/endpoints")
            parts.deleted(self._content, f"The endpoint of {name} v{version}", back, self._serving.create, again)


async def _metrics(serving: ServingService, name: str, version: int) -> EndpointMetrics | None:
    try:
        return await serving.ask(serving.metrics, name, version)
    except SubmarineError:
        return None


async def _replicas(serving: ServingService, name: str, version: int) -> list[Replica] | None:
    try:
        return await serving.ask(serving.replicas, name, version)
    except SubmarineError:
        return None
