"""Ready-made experiments: fill in a few values and run."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from submarine_ray.core.errors import InvalidSpec, SubmarineError
from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.spec.documents import dump
from submarine_ray.spec.places import ObjectKind
from submarine_ray.spec.templates import NAME, TemplateSubmission
from submarine_ray.workbench import addresses, dialogs, opened, parts, snippets, template_offers, use_it
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.parameter_fields import Field, draw_parameter
from submarine_ray.workbench.written import said, written


def add(bench: Bench) -> None:
    templates = bench.services.templates

    @bench.route("/templates")
    async def all_templates(request: Request) -> None:
        async with bench.page(request, "Templates", "/templates"):
            found, _ = await asyncio.to_thread(templates.list_page, None, None)
            with parts.row():
                parts.heading("Templates", 1).classes("grow")
                parts.button("New template", lambda: ui.navigate.to("/templates/new"), "add", "main")
            parts.text("Ready-made experiments: fill in a few values and run.", "p", "quiet")
            with ui.element("div").classes("tiles"):
                for one in template_offers.in_order(one.experiment_template_spec for one in found):
                    _draw_card(one)

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
        template_offers.draw_details(spec)
        template_offers.draw_chips(spec)


def _name(spec: StoredTemplate) -> str:
    """The experiment's name, if the template says it; where a parameter does, that is empty."""
    meta = spec.experiment_spec.get("meta")
    name = str(meta.get("name") or "") if isinstance(meta, dict) else ""
    return "" if "{{" in name else name


class _Run:
    """One template: its parameters as a form, checked as they are filled in, beside the experiment that they make."""

    def __init__(self, bench: Bench, spec: StoredTemplate, content: ui.element) -> None:
        self._content = content
        self._services = bench.services
        self._templates = bench.services.templates
        self._own = snippets.Service.of(bench.services.settings)
        self._spec = spec
        self._fields: dict[str, Field] = {}
        self._given: dict[str, str] = {}

    def draw(self) -> None:
        spec = self._spec
        with parts.row():
            parts.link("Templates", "/templates", classes="quiet")
            parts.text("/", classes="quiet")
        with parts.row():
            parts.heading(spec.name, 1)
            opened.star(self._services, ObjectKind.TEMPLATE, spec.name)
            parts.row("grow")
            parts.button("Copy", lambda: ui.navigate.to(f"/templates/new?copy={quote(spec.name)}"), "content_copy")
            if not spec.read_only:
                parts.button("Edit", lambda: ui.navigate.to(f"/templates/new?edit={quote(spec.name)}"), "edit")
                parts.button("Delete", self._delete, "delete", "danger")
        template_offers.draw_details(spec)
        with ui.element("div").classes("pair"):
            with parts.card("Parameters"):
                name = ui.input("Experiment name", value=_name(spec), on_change=self._look)
                name.props("outlined dense debounce=250")
                self._keep(NAME, name)
                for parameter in spec.parameters:
                    self._keep(parameter.name, draw_parameter(parameter, self._look))
                with parts.row():
                    parts.button("Run", self._submit, "play_arrow", "main")
            with parts.card("The experiment"):
                self._preview = parts.block(dump(said(spec.experiment_spec)), "The experiment")
                self._problem = parts.text("", "p", "bad anywhere").props("role=status")
        self._use_it = use_it.card("Run this template with the values above.", self._snippets())
        ui.timer(0, self._look, once=True)

    def _keep(self, name: str, field: Field) -> None:
        self._fields[name], self._given[name] = field, field.value or ""

    def _changed(self) -> TemplateSubmission:
        found = {name: str(field.value or "") for name, field in self._fields.items()}
        return TemplateSubmission(params={name: value for name, value in found.items() if value != self._given[name]})

    async def _look(self) -> None:
        """Bring the preview up to date, and say beside the fields what is wrong with them."""
        submission = self._changed()
        self._use_it.show(self._snippets())
        try:
            spec = await asyncio.to_thread(self._templates.preview, self._spec.name, submission)
        except SubmarineError as failure:
            self._blame(failure)
        else:
            self._blame(None)
            self._preview.set_text(dump(written(spec)))

    def _snippets(self) -> snippets.Snippets:
        return snippets.template(self._own, self._spec.name, self._changed().params)

    async def _submit(self) -> None:
        try:
            made = await asyncio.to_thread(self._templates.submit, self._spec.name, self._changed())
        except SubmarineError as failure:
            self._blame(failure)
            parts.tell_failure(str(failure))
        else:
            ui.navigate.to(addresses.experiment(made.experiment_id))

    def _blame(self, failure: SubmarineError | None) -> None:
        """Say what is wrong beside the field that it is about, or else below the preview."""
        where = failure.field if isinstance(failure, InvalidSpec) else None
        blamed = {name for name in self._fields if where == f"params.{name}" or f"(from params.{name})" in str(failure)}
        for name, field in self._fields.items():
            parts.field_problem(field, str(failure) if name in blamed else None)
        self._problem.set_text("" if failure is None or blamed else str(failure))

    async def _delete(self) -> None:
        if not await dialogs.confirmed(f"Delete {self._spec.name}?", "Experiments that it has run are kept.", "Delete"):
            return
        kept = await parts.attempt(self._templates.spec, self._spec.name)
        if kept is None or await parts.attempt(self._templates.delete, self._spec.name) is None:
            return
        again, back = kept.value, ("Templates", "/templates")
        parts.deleted(self._content, f"Template {again.name}", back, self._templates.create, again)
