"""JupyterLab on a cluster: create in a size, open in a tab."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nicegui import ui
from starlette.requests import Request

from submarine_ray.access.acting import acting_user
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.notebooks import NotebookSpec, NotebookStatus
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import dialogs, opened, parts, snippets, use_it
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.problems import parsed

SIZES = {
    "S": "cpu=0.5,memory=1G",
    "M": "cpu=1,memory=4G",
    "L": "cpu=4,memory=16G",
    "GPU": "cpu=4,memory=16G,gpu=1",
}


def add(bench: Bench) -> None:
    @bench.route("/notebooks")
    async def notebooks(request: Request, new: bool = False) -> None:
        async with bench.page(request, "Notebooks", "/notebooks") as page:
            shown = _Notebooks(bench)
            await shown.draw()
            page.live(shown.load, "notebook-")
            if new:
                ui.timer(0, shown.create, once=True)  # the page first, then its form


class _Notebooks:
    def __init__(self, bench: Bench) -> None:
        self._services = bench.services
        self._notebooks = bench.services.notebooks

    async def draw(self) -> None:
        with parts.row():
            parts.heading("Notebooks", 1).classes("grow")
            parts.button("New notebook", self.create, "add", "main")
        self.load = await parts.redrawn(ui.element("div").classes("tiles"), self._draw_cards, self._look)

    def _look(self) -> tuple[list[Notebook], set[str]]:
        """The notebooks, and which are the user's favourites."""
        starred = self._services.search.starred_keys(acting_user(), ObjectKind.NOTEBOOK)
        return self._notebooks.list_page(None, None, None)[0], starred

    def _draw_cards(self, found: tuple[list[Notebook], set[str]]) -> None:
        notebooks, starred = found
        for one in notebooks:
            self._draw_card(one, starred)
        if not notebooks:
            said = "A notebook is JupyterLab on a cluster, with your packages. Its files are kept when it stops."
            parts.empty("No notebooks yet", said)

    def _draw_card(self, one: Notebook, starred: set[str]) -> None:
        status, id, name = one.status, one.notebook_id, one.name
        with parts.card():
            with parts.row():
                parts.heading(name).classes("anywhere")
                opened.star_button(ObjectKind.NOTEBOOK, id, id in starred)
                parts.row("grow")
                parts.icon_button(f"Use {name}", "code", lambda: self._use(id, name))
                parts.badge(status.capitalize())
            if one.reason and status != NotebookStatus.RUNNING:
                parts.text(one.reason, "p", "quiet anywhere")
            parts.facts(
                [
                    ("Cluster", one.spec.cluster),
                    ("Resources", one.spec.spec.resources),
                    ("Created", lambda: parts.ago(one.created_time)),
                ]
            )
            with parts.row():
                if status == NotebookStatus.RUNNING:
                    to_it = parts.link("Open", one.url, new_tab=True).style("font-weight: 600")
                    to_it.on(
                        "click", lambda: asyncio.to_thread(self._services.search.note_opened, ObjectKind.NOTEBOOK, id)
                    )
                if status in (NotebookStatus.STOPPED, NotebookStatus.FAILED):
                    parts.button("Start", lambda: self._do(self._notebooks.start, id), "play_arrow", "outline")
                elif status != NotebookStatus.TERMINATING:
                    parts.button("Stop", lambda: self._do(self._notebooks.stop, id), "stop")
                parts.button("Delete", lambda: self._delete(id, name), "delete", "danger")

    async def _use(self, id: str, name: str) -> None:
        own = snippets.Service.of(self._services.settings)
        await use_it.ask(name, "Get its status and its URL.", snippets.notebook(own, id))

    async def _do(self, action: Callable[[str], Notebook], id: str) -> None:
        if await parts.attempt(action, id):
            await self.load()

    async def _delete(self, id: str, name: str) -> None:
        consequence = "The notebook is stopped. Its files are kept on the cluster."
        if not await dialogs.confirmed(f"Delete {name}?", consequence, "Delete"):
            return
        again = await parts.attempt(self._notebooks.spec, id)  # under the same name it finds the same files
        if again is None or await parts.attempt(self._notebooks.delete, id) is None:
            return
        # Before its card goes, and the button with it that asked for this.
        parts.offer_undo(f"Deleted {name}", self._notebooks.create, again.value, then=self.load)
        await self.load()

    async def create(self) -> None:
        found, _ = await asyncio.to_thread(self._services.environments.list_page, None, None)
        specs = [one.environment_spec for one in found]
        with dialogs.dialog("New notebook") as dialog:
            name = ui.input("Name").props("outlined dense autofocus")
            size = ui.select({key: f"{key} ({value})" for key, value in SIZES.items()}, label="Size", value="S")
            size.props("outlined dense")
            names = {"": "None", **{one.name: one.name for one in specs if one.name}}
            environment = ui.select(names, label="Environment", value="").props("outlined dense")

            async def create() -> None:
                document: dict[str, dict[str, str]] = {
                    "meta": {"name": name.value},
                    "spec": {"resources": SIZES[size.value]},
                }
                if environment.value:
                    document["environment"] = {"name": environment.value}
                spec = parsed(NotebookSpec, document, name)
                if spec and await parts.attempt(self._notebooks.create, spec):
                    dialog.submit(True)

            made = await dialogs.submitted(dialog, "Create", create)
        if made:
            await self.load()
