"""Ready experiments with a few parameters."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import InvalidSpec, SubmarineError
from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.spec.documents import dump
from submarine_ray.spec.templates import TemplateSubmission
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.new_experiment import said


def add(bench: Bench) -> None:
    templates = bench.services.templates

    @bench.route("/templates")
    async def all_templates(request: Request) -> None:
        async with bench.page(request, "Templates", "/templates"):
            found, _ = await asyncio.to_thread(templates.list_page, None, None)
            with parts.row():
                parts.heading("Templates", 1).classes("grow")
                parts.button("New template", lambda: ui.navigate.to("/templates/new"), "add", "main")
            parts.text("Ready experiments with a few parameters.", "p", "quiet")
            with ui.element("div").classes("tiles"):
                for one in found:
                    _draw_card(one.experiment_template_spec)

    @bench.route("/templates/{name}")
    async def template(request: Request, name: str) -> None:
        async with bench.page(request, name, "/templates"):
            found = await asyncio.to_thread(templates.get, name)
            content = ui.element("div").classes("stack")
            with content:
                _Run(bench, found.experiment_template_spec, content).draw()


def _draw_card(spec: StoredTemplate) -> None:
    with parts.card():
        parts.link(spec.name, addresses.template(spec.name)).style("font-weight: 600")
        parts.text(spec.description or "", "p", "quiet anywhere")
        with parts.row():
            if spec.read_only:
                parts.text("library", classes="chip")
            parts.text(_framework(spec), classes="chip")


def _framework(spec: StoredTemplate) -> str:
    meta = spec.experiment_spec.get("meta")
    return str(meta.get("framework") or "") if isinstance(meta, dict) else ""


class _Run:
    """One template: its parameters as a form."""

    def __init__(self, bench: Bench, spec: StoredTemplate, content: ui.element) -> None:
        self._content = content
        self._templates = bench.services.templates
        self._spec = spec
        self._fields: dict[str, ui.input] = {}

    def draw(self) -> None:
        spec = self._spec
        with parts.row():
            parts.link("Templates", "/templates", classes="quiet")
            parts.text("/", classes="quiet")
        with parts.row():
            parts.heading(spec.name, 1).classes("grow")
            parts.button("Copy", lambda: ui.navigate.to(f"/templates/new?copy={quote(spec.name)}"), "content_copy")
            if not spec.read_only:
                parts.button("Edit", lambda: ui.navigate.to(f"/templates/new?edit={quote(spec.name)}"), "edit")
                parts.button("Delete", self._delete, "delete", "danger")
        parts.text(spec.description or "", "p", "quiet anywhere")
        with ui.element("div").classes("pair"):
            with parts.card("Parameters"):
                for parameter in spec.parameters:
                    label = parameter.name + (" *" if parameter.required == "true" else "")
                    field = ui.input(label, value=parameter.value or "").props("outlined dense")
                    if parameter.description:
                        field._props.update({"hint": parameter.description})
                    self._fields[parameter.name] = field
                with parts.row():
                    parts.button("Run", self._submit, "play_arrow", "main")
            with parts.card("The experiment"):
                parts.block(dump(said(spec.experiment_spec)), "The experiment")

    async def _submit(self) -> None:
        given = {p.name: p.value or "" for p in self._spec.parameters}
        changed = {
            name: field.value or "" for name, field in self._fields.items() if (field.value or "") != given[name]
        }
        for field in self._fields.values():
            parts.field_problem(field, None)
        submission = TemplateSubmission(params=changed)
        try:
            made = await asyncio.to_thread(self._templates.submit, self._spec.name, submission)
        except InvalidSpec as failure:
            self._blame(failure)
        except SubmarineError as failure:
            parts.tell_failure(str(failure))
        else:
            ui.navigate.to(addresses.experiment(made.experiment_id))

    def _blame(self, failure: InvalidSpec) -> None:
        for name, field in self._fields.items():
            if failure.field == f"params.{name}" or f"params.{name}" in str(failure):
                parts.field_problem(field, str(failure))
        parts.tell_failure(str(failure))

    async def _delete(self) -> None:
        if not await dialogs.confirmed(f"Delete {self._spec.name}?", "Experiments made from it stay.", "Delete"):
            return
        kept = await parts.attempt(self._templates.spec, self._spec.name)
        if kept is None or await parts.attempt(self._templates.delete, self._spec.name) is None:
            return
        again, back = kept.value, ("Templates", "/templates")
        parts.deleted(self._content, f"Template {again.name}", back, self._templates.create, again)
