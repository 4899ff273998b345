"""What can be begun from the first page at once: a template's run, a model's endpoint."""

from __future__ import annotations

import asyncio

from nicegui import ui

from submarine_ray.spec.serving import ServeSpec
from submarine_ray.spec.templates import TemplateSubmission
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.services import Services


async def run_template(services: Services) -> None:
    """Choose a template, and run it as it stands."""
    found, _ = await asyncio.to_thread(services.templates.list_page, None, None)
    specs = {one["experimentTemplateSpec"]["name"]: one["experimentTemplateSpec"] for one in found}
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        parts.heading("Run a template")
        template = ui.select(list(specs), label="Template", value=next(iter(specs), None))
        template.props("outlined dense autofocus")
        note = parts.text("", "p", "quiet anywhere")
        template.on_value_change(lambda: note.set_text(specs[template.value].get("description") or ""))
        note.set_text((specs[template.value].get("description") or "") if specs else "There is no template yet.")
        parts.button(
            "Set its parameters", lambda: ui.navigate.to(addresses.template(template.value)), kind="flat"
        ).set_enabled(bool(specs))

        async def run() -> None:
            if made := await parts.attempt(services.templates.submit, template.value, TemplateSubmission(params={})):
                dialog.submit(made.value)

        made = await parts.submitted(dialog, "Run", run)
    if made:
        ui.navigate.to(addresses.experiment(made["experimentId"]))


async def deploy_model(services: Services) -> None:
    """Choose a version of a model, the newest of each first, and serve it."""
    newest = await asyncio.to_thread(services.models.newest_versions)
    choices = {(one["name"], int(one["version"])): f"{one['name']} v{one['version']}" for one in newest}
    with ui.dialog() as dialog, ui.card().classes("dialog"):
        parts.heading("Deploy a model")
        if not choices:
            parts.text("No model is registered yet: a finished experiment's page registers one.", "p", "quiet")
        model = ui.select(choices, label="Model", value=next(iter(choices), None)).props("outlined dense autofocus")

        async def deploy() -> None:
            if model.value is None:
                return
            name, version = model.value
            if await parts.attempt(services.serving.create, ServeSpec(model_name=name, model_version=version)):
                dialog.submit((name, version))

        made = await parts.submitted(dialog, "Deploy", deploy)
    if made:
        ui.navigate.to(addresses.endpoint(*made))
