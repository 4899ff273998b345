"""What can be begun from the first page at once: a template's run, a model's endpoint."""

from __future__ import annotations

import asyncio

from nicegui import ui

from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.spec.serving import ServeSpec
from submarine_ray.spec.templates import TemplateSubmission
from submarine_ray.workbench import addresses, dialogs, parts, template_offers
from submarine_ray.workbench.services import Services


async def run_template(services: Services) -> None:
    """Choose a template, and run it as it stands; one that wants values has its form instead."""
    found, _ = await asyncio.to_thread(services.templates.list_page, None, None)
    specs = {one.name: one for one in template_offers.in_order(one.experiment_template_spec for one in found)}
    with dialogs.dialog("Run a template") as dialog:
        template = ui.select(list(specs), label="Template", value=next(iter(specs), None))
        template.props("outlined dense autofocus")
        about = ui.element("div").classes("stack tight")

        def describe() -> None:
            about.clear()
            with about:
                if template.value:
                    _describe(specs[template.value])
                else:
                    parts.text("No templates yet.", "p", "quiet")

        template.on_value_change(describe)
        describe()
        parts.button(
            "Set parameters", lambda: ui.navigate.to(addresses.template(template.value)), kind="flat"
        ).set_enabled(bool(specs))

        async def run() -> None:
            if template.value is None:
                return
            if not template_offers.is_ready(specs[template.value]):
                ui.navigate.to(addresses.template(template.value))
                return
            if made := await parts.attempt(services.templates.submit, template.value, TemplateSubmission(params={})):
                dialog.submit(made.value)

        made = await dialogs.submitted(dialog, "Run", run)
    if made:
        ui.navigate.to(addresses.experiment(made.experiment_id))


def _describe(spec: StoredTemplate) -> None:
    template_offers.draw_details(spec)
    if not template_offers.is_ready(spec):
        parts.text("Some parameters need a value: Run opens the form.", "p")


async def deploy_model(services: Services) -> None:
    """Choose a version of a model, the newest of each first, and serve it."""
    newest = await asyncio.to_thread(services.models.newest_versions)
    choices = {(one.name, one.version): f"{one.name} v{one.version}" for one in newest}
    with dialogs.dialog("Deploy a model") as dialog:
        if not choices:
            parts.text("No models yet. Register one from the page of a finished experiment.", "p", "quiet")
        model = ui.select(choices, label="Model", value=next(iter(choices), None)).props("outlined dense autofocus")

        async def deploy() -> None:
            if model.value is None:
                return
            name, version = model.value
            if await parts.attempt(services.serving.create, ServeSpec(model_name=name, model_version=version)):
                dialog.submit((name, version))

        made = await dialogs.submitted(dialog, "Deploy", deploy)
    if made:
        ui.navigate.to(addresses.endpoint(*made))
