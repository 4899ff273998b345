"""The form's step for code: a script written or uploaded here, or what the experiment has instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nicegui import ui
from nicegui.events import GenericEventArguments

from submarine_ray.core.errors import NotFound
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.json_types import JsonObject, object_at, text_at
from submarine_ray.workbench import parts, script
from submarine_ray.workbench.script import Script

_LISTED = 8


@dataclass(frozen=True)
class Code:
    """What an experiment brings along: a script alone, or the names of its package's files."""

    script: Script | None = None
    files: dict[str, list[str]] = field(default_factory=dict)
    """By the package's URL."""
    gone: str | None = None
    """The URL of a package that is no longer stored."""


def code_of(packages: PackageService, document: JsonObject) -> Code:
    """The code of a spec, as far as it is a package that is still there."""
    url, name = text_at(document, "code", "url") or "", script_name(document)
    if text_at(document, "code", "syncMode") != "package":
        return Code()
    try:
        content = packages.read(url)
    except NotFound:
        return Code(gone=url)
    text = script.unpack(content, name) if name else None
    if name and text is not None:
        return Code(Script(name, text, script.Packed(url, content)))
    return Code(files={url: script.names(content)})


def script_name(document: JsonObject) -> str | None:
    """The file that the command runs."""
    return script.name_in(text_at(document, "meta", "cmd"))


class CodeStep:
    """`changed` is called when the script has changed, `run` with the command of a file that was chosen, and `drop`
    when other code is to go.
    """

    def __init__(self, packages: PackageService, code: Code, text: str) -> None:
        self._packages = packages
        self._code = code
        self._begun_with = text
        self._packed = code.script.packed if code.script else None

    def draw(self, changed: Callable[[], None], run: Callable[[str], None], drop: Callable[[], None]) -> None:
        self._run = run
        with ui.element("div").classes("stack") as self._instead:
            self._other = parts.text("", "p", "anywhere")
            with parts.row():
                parts.button("Use a script instead", drop, kind="outline")
        with ui.element("div").classes("stack tight") as self._own:
            self._named = parts.text("", "p", "quiet")
            self._script = ui.textarea("Script", value=self._begun_with, on_change=changed)
            # One more than may be: what is cut off would run, and nobody would know.
            self._script.props(f"outlined dense debounce=200 spellcheck=false maxlength={script.MAX_BYTES + 1}")
            self._script.classes("mono").props('input-style="max-height: 40vh"').without_auto_validation()
            with ui.element("label").classes("quiet upload"):
                parts.text("Or upload one: ")
                chosen = parts.element("input", type="file", accept=",".join(script.ENDINGS))
                chosen.on("change", self._take, js_handler=script.READ_FILE)
            parts.text("Or instead of a script:", "p", "quiet")

    @property
    def text(self) -> str:
        return self._script.value or ""

    @property
    def problem(self) -> str | None:
        """What is wrong with the script, in words."""
        size = len(self.text.encode())
        return script.too_large(size) if size > script.MAX_BYTES else None

    def is_ours(self, document: JsonObject) -> bool:
        """Whether a document's code is the script of this step."""
        return self._packed is not None and text_at(document, "code", "url") == self._packed.url

    def strip(self, document: JsonObject) -> None:
        """Take our own code out of a document; `pack` puts it back, unless the document has other code by then."""
        if self.is_ours(document):
            del document["code"]

    def pack(self, document: JsonObject) -> None:
        """Let the script be the code of a document whose command names one, unless that has other code."""
        if not self._has_other(document):
            document.pop("code", None)
            name = script_name(document)
            self._packed = self._package(name) if name and self.text.strip() and not self.problem else None
            if self._packed:
                document["code"] = {"syncMode": "package", "url": self._packed.url}
        self.describe(document)

    def describe(self, document: JsonObject) -> None:
        """Show what a document's code is."""
        name, has_other = script_name(document), self._has_other(document)
        self._own.set_visibility(not has_other)
        self._instead.set_visibility(has_other)
        self._other.set_text(self._described(document))
        self._named.set_text(
            f"Sent as {name}, which the command runs."
            if name
            else "Sent if the command runs a script, such as python train.py."
        )
        if self._script.error != self.problem:
            parts.field_problem(self._script, self.problem)

    async def upload(self, document: JsonObject) -> bool:
        """Keep the script where the experiment will look for it; whether that went well."""
        if not (self._packed and self.is_ours(document)):
            return True
        return await parts.attempt(self._packages.add, self._packed.content) is not None

    def _has_other(self, document: JsonObject) -> bool:
        return bool(object_at(document, "code")) and not self.is_ours(document)

    def _package(self, name: str) -> script.Packed:
        """What was stored stays as it is, with the modes of its files."""
        stored = self._code.script
        if stored and (stored.name, stored.text) == (name, self.text):
            return stored.packed
        return script.pack(name, self.text)

    def _described(self, document: JsonObject) -> str:
        """What the experiment has instead of a script of ours."""
        mode, url = text_at(document, "code", "syncMode") or "git", text_at(document, "code", "url") or ""
        if mode == "git":
            return "The code comes from the Git repository below."
        if mode != "package":
            return f"The code comes from {url}."
        files = self._code.files.get(url)
        if url == self._code.gone:
            return (
                "The code was a package that is no longer stored. Use a script, or send it again with `submarine run`."
            )
        if files is None:
            return "The code is a package that was uploaded. It is named in the YAML."
        listed = ", ".join(files[:_LISTED]) + (", …" if len(files) > _LISTED else "")
        return f"The code is a package of {len(files)} file{'' if len(files) == 1 else 's'}: {listed}"

    def _take(self, event: GenericEventArguments) -> None:
        """An uploaded file is the script, and the command runs it if it ran none."""
        name, text = event.args["name"], event.args["text"]
        if why := script.refused(name, event.args["size"], text):
            parts.tell_failure(why)
            return
        self._script.set_value(text)
        self._run(name)
