"""What is about an experiment, changed from its page: nothing runs for it."""

from __future__ import annotations

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import object_at
from submarine_ray.workbench import dialogs, markdown, parts
from submarine_ray.workbench.parts import Value
from submarine_ray.workbench.problems import parsed


def tag_list(written: str) -> list[str]:
    """Tags as a person writes them into one field, separated by commas."""
    return list(dict.fromkeys(tag.strip() for tag in written.split(",") if tag.strip()))


async def edit(experiments: ExperimentService, found: Experiment) -> bool:
    """Ask for an experiment's name, owner, team and tags, and change them; whether something was saved."""
    meta = found.spec.meta
    with dialogs.dialog("Edit experiment") as dialog:
        parts.text("These changes do not rerun the experiment.", "p", "quiet")
        name = ui.input("Name", value=meta.name).props("outlined dense autofocus")
        owner = ui.input("Owner", value=meta.owner or "").props("outlined dense")
        team = ui.input("Team", value=meta.team or "").props("outlined dense")
        tags = ui.input("Tags (comma-separated)", value=", ".join(meta.tags)).props("outlined dense")

        async def save() -> None:
            said: dict[str, object] = {
                "name": name.value, "owner": owner.value or None, "team": team.value or None,
                "tags": tag_list(tags.value or ""),
            }  # fmt: skip
            if await _store(experiments, found, said, name):
                dialog.submit(True)

        return bool(await dialogs.submitted(dialog, "Save", save))


class Notes(markdown.InPlace):
    """The card of an experiment's notes."""

    def __init__(self, experiments: ExperimentService, found: Experiment) -> None:
        self._experiments = experiments
        self._id = found.experiment_id
        super().__init__("notes", found.spec.meta.notes or "", self._stored, self._keep)

    def _stored(self) -> str:
        return self._experiments.get(self._id).spec.meta.notes or ""

    async def _keep(self, written: ui.textarea) -> bool:
        found = await parts.attempt(self._experiments.get, self._id)
        return found is not None and await _store(
            self._experiments, found.value, {"notes": written.value or None}, written
        )


async def _store(
    experiments: ExperimentService, found: Experiment, said: dict[str, object], field: ValidationElement[Value]
) -> bool:
    """Change some of an experiment's `meta`; whether it was. What is wrong is said beside the field."""
    document = found.spec.model_dump(mode="json", by_alias=True)
    spec = parsed(ExperimentSpec, document | {"meta": object_at(document, "meta") | said}, field)
    done = await parts.attempt(experiments.edit, found.experiment_id, spec) if spec else None
    if done and done.value is None:
        parts.tell_failure(markdown.CHANGED_MEANWHILE)
    return bool(done and done.value)
