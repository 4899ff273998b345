"""The form that registers a model that an experiment, or a trial of a sweep, has saved."""

from __future__ import annotations

from nicegui import ui

from submarine_ray.spec.answers.experiments import Trial
from submarine_ray.spec.models import ModelVersionSpec
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.services import Services


async def register(
    services: Services, suggested: str, experiment_id: str, attempt: int | None, trial: Trial | None = None
) -> None:
    """Ask for a name, register the model, and open its page. `suggested`: the name that the form begins with."""
    with dialogs.dialog(f"Register the model of trial {trial.number}" if trial else "Register model") as dialog:
        parts.text("Creates a new version of this model, or a new model if the name is unused.", "p", "quiet")
        name = ui.input("Model name", value=suggested).props("outlined dense autofocus")
        path = ui.input("Artifact path, if several models were saved").props("outlined dense")
        note = ui.input("Description").props("outlined dense")

        async def create() -> None:
            said = {
                "name": name.value, "experimentId": experiment_id, "description": note.value or None,
                "trialId": trial.trial_id if trial else None,
            }  # fmt: skip
            spec = parsed(ModelVersionSpec, said, name)
            made = services.models.create_version
            if spec and (done := await parts.attempt(made, spec, path.value or None, attempt)):
                dialog.submit(done.value)

        version = await dialogs.submitted(dialog, "Register", create)
    if version is not None:
        ui.navigate.to(addresses.model(version.name, version.version))
