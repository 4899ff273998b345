"""Named sets of packages and images."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.environments import EnvironmentPatch, NewEnvironment
from submarine_ray.spec.experiment import EnvironmentSpec, KernelSpec
from submarine_ray.workbench import dialogs, parts, snippets, use_it
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.problems import parsed


def add(bench: Bench) -> None:
    @bench.route("/environments")
    async def environments(request: Request) -> None:
        async with bench.page(request, "Environments", "/environments"):
            await _Environments(bench).draw()


class _Environments:
    def __init__(self, bench: Bench) -> None:
        self._environments = bench.services.environments
        self._own = snippets.Service.of(bench.services.settings)

    async def draw(self) -> None:
        with parts.row():
            parts.heading("Environments", 1).classes("grow")
            parts.button("New environment", self._open, "add", "main")
        self._content = ui.element("div").classes("tiles")
        await self._load()

    async def _load(self) -> None:
        found, _ = await asyncio.to_thread(self._environments.list_page, None, None)
        self._content.clear()
        with self._content:
            for one in found:
                self._draw_card(one.environment_spec)
            if not found:
                said = "An environment is a named set of packages, with an image, for experiments and notebooks."
                parts.empty("No environments yet", said)

    def _draw_card(self, spec: EnvironmentSpec) -> None:
        name, kernel = spec.name or "", spec.kernel_spec or KernelSpec()
        packages = [*(kernel.pip_dependencies or []), *(kernel.conda_dependencies or [])]
        with parts.card():
            with parts.row():
                parts.heading(name).classes("grow anywhere")
                parts.icon_button(f"Use {name}", "code", lambda: self._use(name))
                parts.icon_button(f"Edit {name}", "edit", lambda: self._open(spec))
                parts.icon_button(f"Delete {name}", "delete", lambda: self._delete(name))
            parts.text(spec.description or "", "p", "quiet anywhere")
            parts.facts([("Image", spec.docker_image or spec.image)])
            with parts.row():
                for package in packages:
                    parts.text(package, classes="chip mono")

    async def _use(self, name: str) -> None:
        await use_it.ask(name, "Run a command in this environment.", snippets.environment(self._own, name))

    async def _open(self, spec: EnvironmentSpec | None = None) -> None:
        """A form for a new environment, or for `spec`'s changes."""
        shown = spec or EnvironmentSpec()
        kernel = shown.kernel_spec or KernelSpec()
        with dialogs.dialog(f"Edit {shown.name}" if spec else "New environment") as dialog:
            name = ui.input("Name", value=shown.name or "").props("outlined dense autofocus")
            name.set_enabled(spec is None)
            image = ui.input("Container image", value=shown.docker_image or shown.image or "")
            image.props("outlined dense")
            pip, conda = (
                ui.textarea(f"{kind} packages, one per line", value="\n".join(packages or []))
                for kind, packages in (("pip", kernel.pip_dependencies), ("conda", kernel.conda_dependencies))
            )
            for field in (pip, conda):
                field.props("outlined dense autogrow")
            note = ui.input("Description", value=shown.description or "").props("outlined dense")

            async def save() -> None:
                packages = {"pipDependencies": _lines(pip.value), "condaDependencies": _lines(conda.value)}
                document = {
                    "name": name.value,
                    "dockerImage": image.value or None,
                    "description": note.value or None,
                    "kernelSpec": packages if spec or any(packages.values()) else None,
                }
                given = {key: value for key, value in document.items() if value is not None}
                if spec is None:
                    new = parsed(NewEnvironment, given, name)
                    if new and await parts.attempt(self._environments.create, new):
                        dialog.submit(True)
                else:
                    patch = parsed(EnvironmentPatch, given, name)
                    if patch and await parts.attempt(self._environments.patch, spec.name or "", patch):
                        dialog.submit(True)

            made = await dialogs.submitted(dialog, "Save" if spec else "Create", save)
        if made:
            await self._load()

    async def _delete(self, name: str) -> None:
        if not await dialogs.confirmed(
            f"Delete {name}?", "Running experiments and notebooks keep their own copy.", "Delete"
        ):
            return
        kept = await parts.attempt(self._environments.spec, name)
        if kept is None or await parts.attempt(self._environments.delete, name) is None:
            return
        again = NewEnvironment.model_validate({**kept.value.model_dump(), "name": name})
        # Before its card goes, and the button with it that asked for this.
        parts.offer_undo(f"Deleted {name}", self._environments.create, again, then=self._load)
        await self._load()


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
