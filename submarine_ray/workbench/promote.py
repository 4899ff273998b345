"""Moving a version to another stage: what that changes, and what it does not, is said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.models.service import STAGES
from submarine_ray.spec.answers.models import ModelVersion
from submarine_ray.spec.models import ModelVersionPatch
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.load import percent
from submarine_ray.workbench.services import Services
from submarine_ray.workbench.traffic import find

PRODUCTION, ARCHIVED = STAGES["production"], STAGES["archived"]


@dataclass(frozen=True)
class Standing:
    """What a move of a version may touch: the model's versions, its served ones, and its shared URL's weights."""

    version: int
    versions: Sequence[ModelVersion]
    served: Mapping[int, str]
    weights: Mapping[int, int]

    @property
    def in_production(self) -> list[int]:
        """Other versions in Production."""
        return [one.version for one in self.versions if one.current_stage == PRODUCTION and one.version != self.version]

    @property
    def aliases(self) -> dict[str, int]:
        """Aliases of other versions."""
        return {alias: one.version for one in self.versions for alias in one.aliases if one.version != self.version}


def look(services: Services, name: str, version: int) -> Standing:
    """Raises NotFound."""
    split = find(services.traffic, name)
    return Standing(
        version, services.models.versions(name), services.serving.served(name), split.weights if split else {}
    )


def consequences(standing: Standing, stage: str) -> list[str]:
    """What the move changes and leaves, a sentence each."""
    version = standing.version
    said = [f"The stage of version {version} becomes {stage}."]
    if stage == PRODUCTION:
        said.append("While it is in Production, the version and its model cannot be deleted.")
    if version in standing.served:
        said.append(f"Its endpoint {standing.served[version]} does not change.")
    elif stage == PRODUCTION:
        said.append("It is not served. A stage deploys nothing: deploy the version to send it requests.")
    if standing.weights:
        whole = sum(standing.weights.values())
        shares = ", ".join(f"version {one} {percent(weight / whole)}" for one, weight in standing.weights.items())
        gets = "" if standing.weights.get(version) else f" Version {version} gets none of its requests."
        said.append(f"The weights of the shared URL do not change: {shares}.{gets}")
    return said


async def promote(services: Services, name: str, version: int) -> bool:
    """Ask for a stage, and move the version there; whether that was done."""
    found = await parts.attempt(look, services, name, version)
    if found is None:
        return False
    standing = found.value
    with dialogs.dialog(f"Promote {name} v{version}") as dialog:
        stage = ui.select([*dict.fromkeys(STAGES.values())], value=PRODUCTION, label="Stage").props("outlined dense")
        told = ui.element("ul").classes("consequences")
        archive = ui.checkbox(f"Move {_listed(standing.in_production)}, in Production now, to {ARCHIVED}")
        archive.set_visibility(bool(standing.in_production))
        aliases = ui.select(
            {alias: f"{alias} (now version {of})" for alias, of in standing.aliases.items()},
            label="Aliases to move to this version", multiple=True, value=[],
        ).props("outlined dense use-chips")  # fmt: skip
        aliases.set_visibility(bool(standing.aliases))

        def tell() -> None:
            told.clear()
            with told:
                for sentence in consequences(standing, str(stage.value)):
                    parts.text(sentence, "li")
            archive.set_visibility(bool(standing.in_production) and stage.value == PRODUCTION)

        stage.on_value_change(tell)
        tell()

        async def move() -> None:
            archived = standing.in_production if archive.visible and archive.value else []
            if await parts.attempt(_move, services, name, standing.version, str(stage.value), archived, aliases.value):
                dialog.submit(True)

        return bool(await dialogs.submitted(dialog, "Promote", move))


def _move(
    services: Services, name: str, version: int, stage: str, archived: Sequence[int], aliases: Sequence[str]
) -> None:
    """The version first: if that is refused, nothing else has changed."""
    for number, to in ((version, stage), *((one, ARCHIVED) for one in archived)):
        services.models.patch_version(ModelVersionPatch(name=name, version=number, current_stage=to))
    for alias in aliases:
        services.models.aliases.set(name, alias, version)


def _listed(versions: Sequence[int]) -> str:
    return f"version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))}"
