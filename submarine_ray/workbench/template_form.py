"""Write a template as YAML, checked by the API's own model while it is written."""

from __future__ import annotations

import asyncio

from nicegui import ui
from pydantic import ValidationError
from starlette.requests import Request

from submarine_ray.spec.documents import NotYaml, dump, load
from submarine_ray.spec.json_types import Json, JsonObject, object_at, text_at
from submarine_ray.spec.masks import HIDDEN
from submarine_ray.spec.templates import TemplateSpec
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.leaving import Edits
from submarine_ray.workbench.problems import all_problems
from submarine_ray.workbench.written import said, written

_BEGINNING: JsonObject = {
    "name": "my-template",
    "description": "What it trains, in one sentence",
    "parameters": [{"name": "epochs", "value": "5", "required": "false", "description": "Passes over the data"}],
    "experimentSpec": {
        "meta": {"name": "my-experiment", "framework": "Python", "cmd": "python train.py --epochs {{epochs}}"},
        "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1G"}},
    },
}


def add(bench: Bench) -> None:
    @bench.route("/templates/new")
    async def new_template(request: Request, edit: str = "", copy: str = "", experiment: str = "") -> None:
        title = "Edit template" if edit else "New template"
        async with bench.page(request, title, "/templates"):
            document = await asyncio.to_thread(_document, bench, edit or copy, experiment)
            if copy:
                document["name"] = f"{copy}-copy"[:63]
            _Form(bench, title, document, edit).draw()


def _document(bench: Bench, template: str, experiment: str) -> JsonObject:
    """What to begin with: a template, an experiment's spec, or an example. Raises NotFound."""
    if template:
        found = bench.services.templates.get(template).experiment_template_spec
        shown = found.model_dump(by_alias=True, exclude={"read_only"})
        document = {key: value for key, value in shown.items() if value}
        # Over a base, an empty value is said for the sake of being empty.
        return document if "base" in document else said(document)
    if experiment:
        spec = written(bench.services.experiments.get(experiment).spec)
        return {"name": text_at(spec, "meta", "name"), "parameters": asked_for(spec), "experimentSpec": spec}
    return dict(_BEGINNING)


def asked_for(spec: JsonObject) -> list[Json]:
    """Parameters for the secret variables of an experiment's spec, put in their place: a template keeps no secret that
    somebody else gave.
    """
    names: dict[str, None] = {}
    for place in (spec["meta"], *object_at(spec, "spec").values()):
        variables = object_at(place, "envVars")
        for name, value in variables.items():
            if value == HIDDEN:
                variables[name] = f"{{{{{name}}}}}"
                names[name] = None
    return [{"name": name, "required": "true", "secret": True} for name in names]


class _Form:
    def __init__(self, bench: Bench, title: str, document: JsonObject, edited: str) -> None:
        self._templates = bench.services.templates
        self._title = title
        self._document = document
        self._edited = edited
        self._edits = Edits()

    def draw(self) -> None:
        with parts.row():
            parts.link("Templates", "/templates", classes="quiet")
        parts.heading(self._title, 1)
        said = "Each {{name}} in experimentSpec is replaced by the value of that parameter."
        parts.text(said, "p", "quiet")
        with parts.card():
            self._yaml = ui.textarea(value=dump(self._document), on_change=self._validate)
            self._yaml.props('outlined autogrow spellcheck=false debounce=300 aria-label="The template as YAML"')
            self._yaml.classes("mono")
            self._edits.note(self._yaml.value)
            self._problem = parts.text("", "div", "bad anywhere").style("white-space: pre-wrap")
            self._problem.props("role=alert")
            with parts.row():
                parts.button("Save" if self._edited else "Create", self._save, "save", "main")

    def _validate(self) -> TemplateSpec | None:
        self._edits.note(self._yaml.value)
        try:
            spec = TemplateSpec.model_validate(load(self._yaml.value or ""))
        except NotYaml as failure:
            self._problem.set_text(f"Invalid YAML: {failure}")
        except ValidationError as failure:
            self._problem.set_text(all_problems(failure))
        else:
            self._problem.set_text("")
            return spec
        return None

    async def _save(self) -> None:
        spec = self._validate()
        if spec is None:
            return
        templates, edited = self._templates, self._edited
        made = await (parts.attempt(templates.patch, edited, spec) if edited else parts.attempt(templates.create, spec))
        if made:
            self._edits.leave(addresses.template(spec.name))
