"""What can be begun from the first page at once: a template's run, a model's endpoint."""

from __future__ import annotations

import asyncio

from nicegui import ui

from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.spec.serving import ServeSpec
from submarine_ray.spec.templates import TemplateSubmission
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.services import Services

# Of the library: one process, one CPU, seconds, and scikit-learn is wherever this platform is.
BEGIN_WITH = "sklearn-tabular"


async def run_template(services: Services) -> None:
    """Choose a template, and run it as it stands; one that wants values has its form instead."""
    found, _ = await asyncio.to_thread(services.templates.list_page, None, None)
    specs = {one.experiment_template_spec.name: one.experiment_template_spec for one in found}
    with dialogs.dialog("Run a template") as dialog:
        template = ui.select(list(specs), label="Template", value=_first(specs))
        template.props("outlined dense autofocus")
        note = parts.text("", "p", "quiet anywhere")
        template.on_value_change(lambda: note.set_text(_describe(specs[template.value])))
        note.set_text(_describe(specs[template.value]) if specs else "There is no template yet.")
        parts.button(
            "Set its parameters", lambda: ui.navigate.to(addresses.template(template.value)), kind="flat"
        ).set_enabled(bool(specs))

        async def run() -> None:
            if template.value and not _is_ready(specs[template.value]):
                ui.navigate.to(addresses.template(template.value))
                return
            if made := await parts.attempt(services.templates.submit, template.value, TemplateSubmission(params={})):
                dialog.submit(made.value)

        made = await dialogs.submitted(dialog, "Run", run)
    if made:
        ui.navigate.to(addresses.experiment(made.experiment_id))


def _first(specs: dict[str, StoredTemplate]) -> str | None:
    """What to offer at first: it runs as it stands, on any cluster, and ends soon."""
    if BEGIN_WITH in specs:
        return BEGIN_WITH
    plain = [name for name, spec in specs.items() if _is_ready(spec) and not _is_sweep(spec)]
    return next(iter([*plain, *specs]), None)


def _is_ready(spec: StoredTemplate) -> bool:
    return all(parameter.required != "true" or parameter.value for parameter in spec.parameters)


def _is_sweep(spec: StoredTemplate) -> bool:
    return bool(spec.experiment_spec.get("tune"))


def _describe(spec: StoredTemplate) -> str:
    said = [spec.description or ""]
    if not _is_ready(spec):
        said.append("The template needs values: Run opens its form.")
    if _is_sweep(spec):
        said.append("This is a sweep of many trials and may take minutes.")
    return ". ".join(one.rstrip(".") for one in said if one) + "."


async def deploy_model(services: Services) -> None:
    """Choose a version of a model, the newest of each first, and serve it."""
    newest = await asyncio.to_thread(services.models.newest_versions)
    choices = {(one.name, one.version): f"{one.name} v{one.version}" for one in newest}
    with dialogs.dialog("Deploy a model") as dialog:
        if not choices:
            parts.text("No model is registered yet. Register one on the page of a finished experiment.", "p", "quiet")
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
