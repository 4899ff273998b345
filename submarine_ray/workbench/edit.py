"""The dialog that changes what is about an experiment: nothing runs for it."""

from __future__ import annotations

from nicegui import ui

from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import object_at
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.problems import parsed


def tag_list(written: str) -> list[str]:
    """Tags as a person writes them into one field, separated by commas."""
    return list(dict.fromkeys(tag.strip() for tag in written.split(",") if tag.strip()))


async def edit(experiments: ExperimentService, found: Experiment) -> bool:
    """Ask for an experiment's name, owner, team, tags and notes, and change them; whether something was saved."""
    meta = found.spec.meta
    with dialogs.dialog("Edit experiment") as dialog:
        parts.text("These changes do not rerun the experiment.", "p", "quiet")
        name = ui.input("Name", value=meta.name).props("outlined dense autofocus")
        owner = ui.input("Owner", value=meta.owner or "").props("outlined dense")
        team = ui.input("Team", value=meta.team or "").props("outlined dense")
        tags = ui.input("Tags (comma-separated)", value=", ".join(meta.tags)).props("outlined dense")
        notes = ui.textarea("Notes", value=meta.notes or "").props("outlined autogrow")

        async def save() -> None:
            said = {
                "name": name.value, "owner": owner.value or None, "team": team.value or None,
                "tags": tag_list(tags.value or ""), "notes": notes.value or None,
            }  # fmt: skip
            document = found.spec.model_dump(mode="json", by_alias=True)
            spec = parsed(ExperimentSpec, document | {"meta": object_at(document, "meta") | said}, name)
            done = await parts.attempt(experiments.edit, found.experiment_id, spec) if spec else None
            if done and done.value is None:
                parts.tell_failure("Somebody else has changed this experiment. Reload the page and edit it again.")
            elif done:
                dialog.submit(True)

        return bool(await dialogs.submitted(dialog, "Save", save))
