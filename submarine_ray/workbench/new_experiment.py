"""Define an experiment in steps, with its YAML beside them: either may be edited, and the other follows."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement
from pydantic import ValidationError
from starlette.requests import Request

from submarine_ray.spec.base import NAME_LENGTH
from submarine_ray.spec.documents import NotYaml, dump, load
from submarine_ray.spec.experiment import FRAMEWORKS, ExperimentSpec
from submarine_ray.spec.json_types import Json, JsonObject, object_at
from submarine_ray.spec.problems import message
from submarine_ray.workbench import addresses, dialogs, parts, script, snippets
from submarine_ray.workbench.code_step import Code, CodeStep, code_of
from submarine_ray.workbench.edit import tag_list
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.leaving import Edits
from submarine_ray.workbench.problems import all_problems
from submarine_ray.workbench.steps import Steps
from submarine_ray.workbench.written import put, read, written

Field = ValidationElement[Any]  # its value is text, a number or a choice
_BEGINNING: JsonObject = {
    "meta": {"name": "my-experiment", "framework": "Python", "cmd": "python train.py"},
    "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1G"}},
}
_STEPS = {
    "What": ("meta",),
    "Environment": ("environment",),
    "Code": ("code", "trainFunction"),
    "Workers": ("spec", "cluster", "placement", "kubernetes", "queue", "timeout", "maxRetries", "gracePeriod"),
    "Tune": ("tune",),
}
# The step in which a part of a spec is; one that no step asks for has none.
_STEP_OF = {part: step for step, parts_of_it in _STEPS.items() for part in parts_of_it}

_RERUNS = (
    "A running attempt is stopped, and a new attempt starts with this spec. To change only the name, tags, owner, "
    "team or notes, use Edit on the experiment's page: nothing runs for that."
)


_COPY = re.compile(r"(.+?)-copy(?:-(\d{1,6}))?")


def add(bench: Bench) -> None:
    @bench.route("/experiments/new")
    async def new(request: Request, clone: str = "", patch: str = "") -> None:
        title = "Rerun with changes" if patch else "New experiment"
        async with bench.page(request, title, "/experiments"):
            document, code, text = _BEGINNING, Code(), script.EXAMPLE
            if clone or patch:
                found = await asyncio.to_thread(bench.services.experiments.get, clone or patch)
                document = written(found.spec)
                code = await asyncio.to_thread(code_of, bench.services.packages, document)
                text = code.script.text if code.script else ""
            if clone:
                document["meta"] = {**object_at(document, "meta"), "name": copy_name(found.name)}
            await _Form(bench, title, document, (patch, clone), CodeStep(bench.services.packages, code, text)).draw()


def copy_name(name: str) -> str:
    """The name of a copy, and of a copy's: `train-copy`, `train-copy-2`, `train-copy-3`."""
    stem, number = (match[1], int(match[2] or 1) + 1) if (match := _COPY.fullmatch(name)) else (name, 1)
    ending = "-copy" if number == 1 else f"-copy-{number}"
    return stem[: NAME_LENGTH - len(ending)] + ending


class _Form:
    """`document` is what both sides show; the fields hold the parts that steps ask for, and leave the rest alone."""

    def __init__(self, bench: Bench, title: str, document: JsonObject, origin: tuple[str, str], code: CodeStep) -> None:
        self._services = bench.services
        self._title = title
        self._document: JsonObject = json.loads(json.dumps(document))  # a copy: it is changed
        self._patched, self._cloned = origin
        self._code = code
        self._edits = Edits()
        self._fields: dict[str, Field] = {}
        self._filling = False
        self._unread = ""

    async def draw(self) -> None:
        clusters, environments = await asyncio.gather(
            asyncio.to_thread(self._services.clusters.list_all),
            asyncio.to_thread(self._services.environments.list_page, None, None),
        )
        with parts.row():
            parts.heading(self._title, 1).classes("grow")
            parts.link("From a template", "/templates")
        if self._patched:
            parts.notice(_RERUNS)
        with ui.element("div").classes("pair"):
            with parts.card():
                self._steps = Steps()
                self._draw_steps(
                    ["", *(one.name for one in clusters)],
                    ["", *(one.environment_spec.name or "" for one in environments[0])],
                )
            with ui.element("div").classes("stack"):
                with parts.card("YAML"):
                    self._yaml = ui.textarea(value="", on_change=self._from_yaml).props(
                        'outlined autogrow spellcheck=false aria-label="The experiment as YAML" debounce=300'
                    )
                    self._yaml.classes("mono")
                    self._problem = parts.text("", "div", "bad anywhere").style("white-space: pre-wrap")
                    self._problem.props("role=alert")
                with parts.row():
                    parts.button("Rerun" if self._patched else "Run", self._submit, "play_arrow", "main")
                    for language, label in snippets.LANGUAGES.items():
                        parts.button(f"Copy as {label}", functools.partial(self._copy, language), kind="flat")
        self._fill()
        self._code.pack(self._document)
        self._write()

    def _draw_steps(self, clusters: list[str], environments: list[str]) -> None:
        draw = (
            self._draw_meta,
            functools.partial(self._draw_environment, environments),
            self._draw_code,
            functools.partial(self._draw_workers, clusters),
            self._draw_tune,
        )
        self._steps.draw(dict(zip(_STEPS, draw, strict=True)))

    def _draw_meta(self) -> None:
        self._field("meta.name", ui.input("Name"))
        self._field("meta.framework", ui.select(list(FRAMEWORKS), label="Framework"))
        self._field("meta.cmd", ui.input("Command"))
        self._field("meta.owner", ui.input("Owner"))
        self._field("meta.tags", ui.input("Tags (comma-separated)"))

    def _draw_environment(self, environments: list[str]) -> None:
        self._field("environment.name", ui.select(environments, label="Stored environment"))
        self._field("environment.image", ui.input("Container image (Kubernetes only)"))

    def _draw_code(self) -> None:
        self._code.draw(self._from_fields, self._run_script, self._drop_code)
        self._field("code.git.url", ui.input("Git repository (https://…)"))
        self._field("code.git.branch", ui.input("Branch"))

    def _draw_workers(self, clusters: list[str]) -> None:
        self._field("spec.Worker.replicas", parts.number("Replicas"))
        self._field("spec.Worker.resources", ui.input("Resources per replica, e.g. cpu=2,memory=4G,gpu=1"))
        self._field("cluster", ui.select(clusters, label="Cluster"))
        self._field("timeout", parts.number("Timeout (seconds)"))

    def _draw_tune(self) -> None:
        said = "Values for each {{name}} in the command. Leave empty for a single run."
        parts.text(said, "p", "quiet")
        self._field("tune.searchSpace", ui.textarea("Search space (YAML)").props("autogrow"))
        self._field("tune.metric", ui.input("Metric"))
        self._field("tune.mode", ui.select(["", "min", "max"], label="Mode"))
        self._field("tune.numSamples", parts.number("Trials"))

    def _field(self, path: str, field: Field) -> None:
        field.props("outlined dense debounce=200")
        field.without_auto_validation()  # else each change would clear what our own validation says
        field.on_value_change(lambda: self._from_fields())
        self._fields[path] = field

    def _fill(self) -> None:
        """Show the document in the fields."""
        self._filling = True
        for path, field in self._fields.items():
            value = read(self._document, path)
            if path == "meta.tags":
                value = ", ".join(map(str, value)) if isinstance(value, list) else ""
            elif path == "tune.searchSpace":
                value = dump(value) if value else ""
            if isinstance(field, ui.select) and value and value not in field.options:
                field.set_options([*field.options, value])
            field.set_value(value if value is not None or isinstance(field, ui.number) else "")
        self._filling = False

    def _write(self) -> None:
        self._filling, self._unread = True, ""
        self._yaml.set_value(dump(self._document))
        self._filling = False
        self._note()
        self._validate()

    def _run_script(self, name: str) -> None:
        """Let the command run a file that was uploaded, if it runs none."""
        command = self._fields["meta.cmd"]
        if script.name_in(command.value) is None:
            command.set_value(script.command_of(name))

    def _drop_code(self) -> None:
        self._document.pop("code", None)
        self._fill()
        self._from_fields()

    def _from_fields(self) -> None:
        if self._filling:
            return
        document: JsonObject = json.loads(json.dumps(self._document))
        self._code.strip(document)
        for path, field in self._fields.items():
            value: Json = field.value
            if path == "meta.tags":
                value = [*tag_list(str(value or ""))]
            elif path == "tune.searchSpace":
                with contextlib.suppress(NotYaml):  # as it stands, validation says that it is no object
                    value = load(str(value or ""), numbers=True)
            elif isinstance(value, float) and value.is_integer():
                value = int(value)
            put(document, path, value if value not in ("", [], None) else None)
        if read(document, "code.git") and not read(document, "code.syncMode"):
            put(document, "code.syncMode", "git")
        elif list(object_at(document, "code")) == ["syncMode"]:
            del document["code"]
        self._code.pack(document)
        self._document = document
        self._write()

    def _from_yaml(self) -> None:
        if self._filling:
            return
        self._note()
        try:
            document = load(self._yaml.value or "")
            unread = "" if isinstance(document, dict) else "The experiment must be an object with 'meta' and 'spec'."
        except NotYaml as failure:
            unread = f"Invalid YAML: {failure}"
        self._unread = unread
        if unread:
            self._problem.set_text(unread)
            return
        self._document = json.loads(json.dumps(document))
        self._fill()
        self._code.describe(self._document)
        self._validate()

    def _note(self) -> None:
        self._edits.note(self._yaml.value, self._code.text)

    def _validate(self) -> ExperimentSpec | None:
        """Say what is wrong, beside the field and at the step where there is one."""
        if self._unread:
            return None
        for field in self._fields.values():
            if field.error is not None:
                parts.field_problem(field, None)
        problem, wrong = self._code.problem, set[str]()
        if problem:
            wrong.add("Code")
        try:
            spec = ExperimentSpec.model_validate(self._document)
        except ValidationError as failure:
            problem = "\n".join(filter(None, (all_problems(failure), problem)))
            for item in failure.errors():
                where = ".".join(str(part) for part in item["loc"])
                wrong.update(filter(None, [_STEP_OF.get(where.partition(".")[0])]))
                for path, field in self._fields.items():
                    if where == path or where.startswith(f"{path}."):
                        parts.field_problem(field, message(item))
        self._problem.set_text(problem or "")
        self._steps.blame(wrong)
        return None if problem else spec

    async def _ready(self) -> ExperimentSpec | None:
        """The experiment, its code in place; or None, and the user is told why."""
        if not self._unread and self._code.is_ours(self._document):
            self._code.pack(self._document)  # the YAML may name another script by now
            self._write()
        spec = self._validate()
        if spec is None:
            parts.tell_failure(self._problem.text)
        elif await self._code.upload(self._document):
            return spec
        return None

    async def _submit(self) -> None:
        spec = await self._ready()
        if spec is None:
            return
        experiments = self._services.experiments
        if not self._patched:
            done = await parts.attempt(experiments.create, spec, self._cloned or None)
        elif await dialogs.confirmed(f"Run {spec.meta.name} again?", _RERUNS, "Rerun"):
            done = await parts.attempt(experiments.patch, self._patched, spec, True)
        else:
            return
        if done:
            self._edits.leave(addresses.experiment(done.value.experiment_id))

    async def _copy(self, language: snippets.Language) -> None:
        if await self._ready() is None:
            return
        service = snippets.Service.of(self._services.settings)
        ui.clipboard.write(snippets.new_experiment(service, self._document).of(language))
        parts.tell("Copied")
