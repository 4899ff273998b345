"""Define an experiment in steps, with its YAML beside them: either may be edited, and the other follows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement
from nicegui.events import GenericEventArguments
from pydantic import ValidationError
from pydantic.main import IncEx
from starlette.requests import Request

from submarine_ray.core.errors import NotFound
from submarine_ray.spec.documents import NotYaml, dump, load
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import Json, JsonObject, object_at, text_at, value_at
from submarine_ray.spec.problems import message
from submarine_ray.workbench import addresses, dialogs, parts, script
from submarine_ray.workbench.edit import tag_list
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.problems import all_problems

FRAMEWORKS = ("PyTorch", "TensorFlow", "Python", "Shell", "XGBoost")
Field = ValidationElement[Any]  # its value is text, a number or a choice
_BEGINNING: JsonObject = {
    "meta": {"name": "my-experiment", "framework": "Python", "cmd": "python train.py"},
    "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1G"}},
}

_RERUNS = (
    "A running attempt is stopped, and a new attempt starts with this spec. To change only the name, tags, owner, "
    "team or notes, use Edit on the experiment's page: nothing runs for that."
)


def add(bench: Bench) -> None:
    @bench.route("/experiments/new")
    async def new(request: Request, clone: str = "", patch: str = "") -> None:
        title = "Rerun with changes" if patch else "New experiment"
        async with bench.page(request, title, "/experiments"):
            document, text = _BEGINNING, script.EXAMPLE
            if clone or patch:
                found = await asyncio.to_thread(bench.services.experiments.get, clone or patch)
                document = written(found.spec)
                text = await asyncio.to_thread(_script_of, bench, document)
            await _Form(bench, title, document, (patch, clone), text).draw()


def _script_of(bench: Bench, document: JsonObject) -> str:
    """The script that an experiment brought along, if its code is no more than that."""
    if _read(document, "code.syncMode") != "package":
        return ""
    url = text_at(document, "code", "url")
    with contextlib.suppress(NotFound):  # dropped since: what it was is not known any more
        found, name = script.unpack(bench.services.packages.read(url)), _script_name(document)
        if found and name and script.pack(name, found).url == url:
            return found
    return ""


def written(spec: ExperimentSpec) -> JsonObject:
    """An answered spec as a person would write it: nothing that says nothing."""
    roles: dict[str, IncEx | bool] = {role: {"resource_map"} for role in spec.spec}
    left_out: dict[str, IncEx | bool] = {"meta": {"experiment_id"}, "spec": roles}
    return spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=left_out, warnings=False
    )


def said(document: JsonObject) -> JsonObject:
    """A document without the fields that it leaves open, for one that is no whole spec."""
    found = {key: _said(value) for key, value in document.items()}
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _said(value: Json) -> Json:
    if isinstance(value, list):
        return [_said(item) for item in value]
    return said(value) if isinstance(value, dict) else value


class _Form:
    """`document` is what both sides show; the fields hold the parts that steps ask for, and leave the rest alone."""

    def __init__(self, bench: Bench, title: str, document: JsonObject, origin: tuple[str, str], text: str) -> None:
        self._services = bench.services
        self._title = title
        self._document: JsonObject = json.loads(json.dumps(document))  # a copy: it is changed
        self._patched, self._cloned = origin
        self._text = text
        name = _script_name(document)
        self._packed = script.pack(name, text) if name and text else None
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
            with parts.card(), ui.stepper().props("vertical flat header-nav animated").classes("steps") as stepper:
                self._draw_steps(
                    stepper,
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
                    for label, make in (("CLI", _as_cli), ("Python", _as_python), ("curl", self._as_curl)):
                        parts.button(f"Copy as {label}", lambda make=make: self._copy(make), kind="flat")
        self._fill()
        self._pack(self._document)
        self._write()

    def _draw_steps(self, stepper: ui.stepper, clusters: list[str], environments: list[str]) -> None:
        steps = {
            "What": self._draw_meta,
            "Environment": lambda: self._draw_environment(environments),
            "Code": self._draw_code,
            "Workers": lambda: self._draw_workers(clusters),
            "Tune": self._draw_tune,
        }
        for number, (name, draw) in enumerate(steps.items()):
            with ui.step(name, title=name):
                draw()
                with parts.row():
                    if number < len(steps) - 1:
                        parts.button("Next", lambda: stepper.next(), kind="outline")
                    if number:
                        parts.button("Back", lambda: stepper.previous())

    def _draw_meta(self) -> None:
        self._field("meta.name", ui.input("Name"))
        self._field("meta.framework", ui.select(list(FRAMEWORKS), label="Framework", new_value_mode="add-unique"))
        self._field("meta.cmd", ui.input("Command"))
        self._field("meta.owner", ui.input("Owner"))
        self._field("meta.tags", ui.input("Tags, separated by commas"))

    def _draw_environment(self, environments: list[str]) -> None:
        self._field("environment.name", ui.select(environments, label="Stored environment"))
        self._field("environment.image", ui.input("Container image, for clusters with containers"))

    def _draw_code(self) -> None:
        self._named = parts.text("", "p", "quiet")
        self._script = ui.textarea("Script", value=self._text).props("outlined dense debounce=200 spellcheck=false")
        self._script.classes("mono").props('input-style="max-height: 40vh"')
        self._script.on_value_change(lambda: self._from_fields())
        with ui.element("label").classes("quiet upload"):
            parts.text("Or upload one: ")
            parts.element("input", type="file").on("change", self._take, js_handler=script.READ_FILE)
        parts.text("Or, instead of a script:", "p", "quiet")
        self._field("code.git.url", ui.input("Git repository (https://…)"))
        self._field("code.git.branch", ui.input("Branch"))

    def _draw_workers(self, clusters: list[str]) -> None:
        self._field("spec.Worker.replicas", ui.number("Replicas", format="%d"))
        self._field("spec.Worker.resources", ui.input("Resources per replica, such as cpu=2,memory=4G,gpu=1"))
        self._field("cluster", ui.select(clusters, label="Cluster"))
        self._field("timeout", ui.number("Timeout, seconds", format="%d"))

    def _draw_tune(self) -> None:
        said = "Parameters that the command uses as {{name}}. Leave empty for a single run."
        parts.text(said, "p", "quiet")
        self._field("tune.searchSpace", ui.textarea("Search space, as YAML").props("autogrow"))
        self._field("tune.metric", ui.input("Metric"))
        self._field("tune.mode", ui.select(["", "min", "max"], label="Mode"))
        self._field("tune.numSamples", ui.number("Trials", format="%d"))

    def _field(self, path: str, field: Field) -> None:
        field.props("outlined dense debounce=200")
        field.without_auto_validation()  # else each change would clear what our own validation says
        field.on_value_change(lambda: self._from_fields())
        self._fields[path] = field

    def _fill(self) -> None:
        """Show the document in the fields."""
        self._filling = True
        for path, field in self._fields.items():
            value = _read(self._document, path)
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
        self._validate()

    def _take(self, event: GenericEventArguments) -> None:
        """An uploaded file is the script, and the command runs it if it ran none."""
        name, text = event.args["name"], event.args["text"]
        if text is None or "\ufffd" in text:
            parts.tell_failure(f"{name} is not text, or is larger than {script.MAX_BYTES // 1000} kB.")
            return
        self._script.set_value(text)
        if script.name_in(self._fields["meta.cmd"].value) is None and script.name_in(shlex.quote(name)):
            self._fields["meta.cmd"].set_value(f"python {shlex.quote(name)}")

    def _pack(self, document: JsonObject) -> None:
        """Let the script be the code of a document whose command names one, unless it has other code."""
        name, code = _script_name(document), object_at(document, "code")
        others = bool(code) and code.get("url") != (self._packed.url if self._packed else None)
        text = self._script.value or ""
        self._named.set_text(
            f"Sent as {name}, which the command runs."
            if name
            else "Sent if the command runs a script, such as python train.py."
        )
        if others:
            return
        document.pop("code", None)
        self._packed = script.pack(name, text) if name and text.strip() else None
        if self._packed:
            document["code"] = {"syncMode": "package", "url": self._packed.url}

    async def _upload(self) -> bool:
        """Keep the script where the experiment will look for it."""
        is_used = self._packed and _read(self._document, "code.url") == self._packed.url
        packages = self._services.packages
        return not (is_used and self._packed) or bool(await parts.attempt(packages.add, self._packed.content))

    def _from_fields(self) -> None:
        if self._filling:
            return
        document: JsonObject = json.loads(json.dumps(self._document))
        if self._packed and _read(document, "code.url") == self._packed.url:
            del document["code"]  # `_pack` puts it back, unless a field gives other code
        for path, field in self._fields.items():
            value: Json = field.value
            if path == "meta.tags":
                value = [*tag_list(str(value or ""))]
            elif path == "tune.searchSpace":
                with contextlib.suppress(NotYaml):  # as it stands, validation says that it is no object
                    value = load(str(value or ""), numbers=True)
            elif isinstance(value, float) and value.is_integer():
                value = int(value)
            _put(document, path, value if value not in ("", [], None) else None)
        if _read(document, "code.git") and not _read(document, "code.syncMode"):
            _put(document, "code.syncMode", "git")
        elif list(object_at(document, "code")) == ["syncMode"]:
            del document["code"]
        self._pack(document)
        self._document = document
        self._write()

    def _from_yaml(self) -> None:
        if self._filling:
            return
        try:
            document = load(self._yaml.value or "")
            unread = "" if isinstance(document, dict) else "The experiment must be an object with 'meta' and 'spec'."
        except NotYaml as failure:
            unread = f"This is not YAML: {failure}"
        self._unread = unread
        if unread:
            self._problem.set_text(unread)
            return
        self._document = json.loads(json.dumps(document))
        self._fill()
        self._validate()

    def _validate(self) -> ExperimentSpec | None:
        """Say what is wrong, beside the field where there is one."""
        if self._unread:
            return None
        for field in self._fields.values():
            if field.error is not None:
                parts.field_problem(field, None)
        try:
            spec = ExperimentSpec.model_validate(self._document)
        except ValidationError as failure:
            self._problem.set_text(all_problems(failure))
            for item in failure.errors():
                where = ".".join(str(part) for part in item["loc"])
                for path, field in self._fields.items():
                    if where == path or where.startswith(f"{path}."):
                        parts.field_problem(field, message(item))
            return None
        self._problem.set_text("")
        return spec

    async def _submit(self) -> None:
        spec = self._validate()
        if spec is None:
            parts.tell_failure(self._problem.text)
            return
        if not await self._upload():
            return
        experiments = self._services.experiments
        if not self._patched:
            done = await parts.attempt(experiments.create, spec, self._cloned or None)
        elif await dialogs.confirmed(f"Run {spec.meta.name} again?", _RERUNS, "Rerun"):
            done = await parts.attempt(experiments.patch, self._patched, spec, True)
        else:
            return
        if done:
            ui.navigate.to(addresses.experiment(done.value.experiment_id))

    async def _copy(self, make: Callable[[JsonObject], str]) -> None:
        if self._validate() is None:
            parts.tell_failure(self._problem.text)
            return
        if not await self._upload():
            return
        ui.clipboard.write(make(self._document))
        parts.tell("Copied")

    def _as_curl(self, document: JsonObject) -> str:
        token = '-H "Authorization: Bearer $SUBMARINE_TOKEN" ' if self._services.settings.token else ""
        body = shlex.quote(json.dumps(document))
        url = f"{self._services.settings.url}/api/v1/experiment"
        return f"curl -X POST {token}-H 'Content-Type: application/json' -d {body} {url}"


def _as_cli(document: JsonObject) -> str:
    return f"submarine submit -f - --follow <<'SUBMARINE'\n{dump(document)}SUBMARINE"


def _as_python(document: JsonObject) -> str:
    return f"from submarine_ray import ExperimentClient\n\nExperimentClient().create_experiment({document!r})\n"


def _read(document: JsonObject, path: str) -> Json:
    return value_at(document, *path.split("."))


def _script_name(document: JsonObject) -> str | None:
    return script.name_in(text_at(document, "meta", "cmd"))


def _put(document: JsonObject, path: str, value: Json) -> None:
    """Set a value; without one, the field goes, and what is empty without it."""
    *parents, last = path.split(".")
    trail = [document]
    for part in parents:
        below = trail[-1].get(part)
        if not isinstance(below, dict):
            if value is None:
                return
            below = trail[-1][part] = {}
        trail.append(below)
    if value is not None:
        trail[-1][last] = value
        return
    trail[-1].pop(last, None)
    for above, part, below in zip(trail, parents, trail[1:], strict=False):
        if not below and part not in ("meta", "spec"):
            above.pop(part, None)
