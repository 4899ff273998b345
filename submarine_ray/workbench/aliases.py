"""A model's aliases on its page: which version each names, and forms to set, move and remove one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from submarine_ray.models.service import ModelService
from submarine_ray.workbench import addresses, dialogs, parts


def draw(
    models: ModelService, name: str, aliases: Mapping[str, int], versions: Sequence[int], refresh: parts.Refresh
) -> None:
    """The card. `refresh` draws the page again after a change."""
    with parts.card():
        with parts.row():
            parts.heading("Aliases").classes("grow")
            if versions:
                parts.button("Add alias", lambda: ask(models, name, versions, refresh), "add")
        if not aliases:
            said = f"An alias names a version, and can be moved to another one: models:/{name}@champion."
            parts.text(said, "p", "quiet anywhere")
        for alias, version in aliases.items():
            with parts.row():
                parts.text(alias, classes="chip")
                parts.text("→", classes="quiet")
                parts.link(f"version {version}", addresses.model(name, version))
                parts.row("grow")
                parts.copy_button(f"models:/{name}@{alias}", f"Copy models:/{name}@{alias}")
                parts.icon_button(
                    f"Move {alias}",
                    "edit",
                    lambda alias=alias, of=version: ask(models, name, versions, refresh, alias, of),
                )
                parts.icon_button(f"Remove {alias}", "close", lambda alias=alias: _remove(models, name, alias, refresh))


async def ask(
    models: ModelService,
    name: str,
    versions: Sequence[int],
    refresh: parts.Refresh,
    alias: str = "",
    version: int | None = None,
) -> None:
    """Ask which version an alias is to name, and for the alias if none is given."""
    with dialogs.dialog(f"Move {alias}" if alias else "Add alias") as dialog:
        parts.text(
            "Code that loads the model by this alias gets this version. Endpoints keep the versions that they serve.",
            "p",
            "quiet",
        )
        called = ui.input("Alias", value=alias, placeholder="champion").props("outlined dense")
        called.props("readonly" if alias else "autofocus")
        options = {one: f"Version {one}" for one in sorted(versions, reverse=True)}
        chosen = ui.select(options, value=version or max(versions), label="Version", with_input=len(options) > 10)
        chosen.props("outlined dense")

        async def save() -> None:
            if chosen.value and await parts.attempt(
                models.aliases.set, name, (called.value or "").strip(), chosen.value
            ):
                dialog.submit(True)

        if await dialogs.submitted(dialog, "Move" if alias else "Add", save):
            await refresh()


async def _remove(models: ModelService, name: str, alias: str, refresh: parts.Refresh) -> None:
    consequence = f"Code that loads models:/{name}@{alias} will fail. The version is kept."
    if await dialogs.confirmed(f"Remove the alias {alias}?", consequence, "Remove") and await parts.attempt(
        models.aliases.remove, name, alias
    ):
        await refresh()
