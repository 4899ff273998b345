"""Models that answer over HTTP: their state, and a console to try them."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import Any

import httpx
from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.serving import EndpointStatus, ServeSpec
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.parts import Column

TRY_SECONDS = 30.0
_EXAMPLE = '{"inputs": [[1.0, 2.0]]}'
_COLUMNS = (
    Column("label", "Model", "link"),
    Column("status", "Status", "status"),
    Column("replicas", "Replicas", wide=True),
    Column("cluster", "Cluster", wide=True),
    Column("createdTime", "Created", "ago"),
    Column("message", "Message", wide=True),
)


def _state(status: str) -> str:
    return "good" if status == EndpointStatus.RUNNING else parts.state(status)


def add(bench: Bench) -> None:
    serving = bench.services.serving

    @bench.route("/endpoints")
    async def all_endpoints(request: Request) -> None:
        async with bench.page(request, "Endpoints", "/endpoints") as page:
            parts.heading("Endpoints", 1)
            page.live(await parts.redrawn(ui.element("div"), serving.list_all, _draw_table), "endpoint")

    @bench.route("/endpoints/{name}/{version}")
    async def endpoint(request: Request, name: str, version: int) -> None:
        async with bench.page(request, f"{name} v{version}", "/endpoints") as page:
            shown = _Endpoint(bench, await asyncio.to_thread(serving.get, name, version))
            shown.draw()
            page.live(shown.look, "endpoint")


def _draw_table(found: list[dict[str, Any]]) -> None:
    rows = [
        one
        | {
            "label": f"{one['modelName']} v{one['modelVersion']}",
            "href": addresses.endpoint(one["modelName"], one["modelVersion"]),
            "state": _state(one["status"]),
        }
        for one in found
    ]
    if rows:
        parts.table(_COLUMNS, rows, "name", "Endpoints")
        return
    with parts.empty("No endpoints yet", "A registered model's version becomes one with Deploy."):
        parts.button("Models", lambda: ui.navigate.to("/models"), kind="outline")


class _Endpoint:
    def __init__(self, bench: Bench, found: dict[str, Any]) -> None:
        self._serving = bench.services.serving
        self._token = bench.services.settings.token
        self._found = found

    def draw(self) -> None:
        name, version = self._found["modelName"], self._found["modelVersion"]
        parts.link("Endpoints", "/endpoints", classes="quiet")
        with parts.row():
            parts.heading(f"{name} v{version}", 1)
            self._badge = parts.badge(None)
            parts.row("grow")
            parts.button("Delete", self._delete, "delete", "danger")
        self._why = ui.element("div")
        with ui.element("div").classes("pair"):
            with parts.card("Try it"):
                self._body = ui.textarea("Request, as JSON", value=_EXAMPLE).props("outlined autogrow spellcheck=false")
                self._body.classes("mono")
                with parts.row():
                    parts.button("Send", self._send, "send", "main")
                    parts.button("Copy as curl", self._copy)
                self._answer = ui.element("div")
            with ui.element("div").classes("stack"):
                self._facts = ui.element("div")
        self._show()

    def _show(self) -> None:
        found = self._found
        parts.show_badge(self._badge, found["status"])
        self._badge._props["data-state"] = _state(found["status"])
        self._why.clear()
        if found["message"]:
            with self._why:
                parts.notice(found["message"], bad=found["status"] == EndpointStatus.FAILED)
        self._facts.clear()
        with self._facts, parts.card("Endpoint"):
            parts.facts(
                [
                    ("URL", lambda: parts.text(found["invocationsUrl"], "code", "anywhere")),
                    ("Replicas", str(found["replicas"])),
                    ("Cluster", found["cluster"]),
                    ("Model", lambda: parts.link(found["modelName"], addresses.model(found["modelName"]))),
                    ("Created", lambda: parts.ago(found["createdTime"])),
                ]
            )

    async def look(self) -> None:
        name, version = self._found["modelName"], self._found["modelVersion"]
        found = await asyncio.to_thread(self._serving.get, name, version)
        if found != self._found:
            self._found = found
            self._show()

    async def _send(self) -> None:
        parts.field_problem(self._body, None)
        try:
            body = json.loads(self._body.value or "")
        except ValueError as failure:
            parts.field_problem(self._body, f"This is not JSON: {failure}")
            return
        self._answer.clear()
        try:
            async with httpx.AsyncClient(timeout=TRY_SECONDS, trust_env=False) as client:
                answer = await client.post(self._found["invocationsUrl"], json=body)
            said, status = (
                answer.text[:100_000],
                f"{answer.status_code} in {answer.elapsed.total_seconds() * 1000:.0f} ms",
            )
        except httpx.HTTPError as failure:
            said, status = f"The endpoint does not answer: {failure or type(failure).__name__}", "No answer"
        with self._answer:
            parts.text(status, "p", "quiet small").props("role=status")
            parts.block(said, "Answer")

    def _copy(self) -> None:
        body = shlex.quote(self._body.value or "{}")
        address = shlex.quote(self._found["invocationsUrl"])
        ui.clipboard.write(f"curl -X POST -H 'Content-Type: application/json' -d {body} {address}")
        parts.tell("Copied")

    async def _delete(self) -> None:
        name, version = self._found["modelName"], self._found["modelVersion"]
        if not await parts.confirmed(
            f"Delete the endpoint of {name} v{version}?", "It stops answering at once.", "Delete"
        ):
            return
        if await parts.attempt(self._serving.delete, ServeSpec(model_name=name, model_version=version)):
            ui.navigate.to("/endpoints")
