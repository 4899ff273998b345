"""Registered models and versions as in Submarine's API, over MLflow's registry. There is no second registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from submarine_ray.access.acting import acting
from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.errors import Conflict, InvalidSpec, NotFound
from submarine_ray.models import signatures, tags
from submarine_ray.models.aliases import Aliases
from submarine_ray.models.details import Details, Ran, Text
from submarine_ray.models.finding import ModelFinder
from submarine_ray.spec.answers.models import (
    ModelLineage,
    ModelSignature,
    ModelVersion,
    ModelVersionDetails,
    RegisteredModel,
)
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.models import ModelVersionPatch, ModelVersionSpec, RegisteredModelPatch, RegisteredModelSpec
from submarine_ray.spec.references import SCHEME
from submarine_ray.spec.tags import (
    DATASET_TAG,
    EXPERIMENT_TAG,
    MODEL_ID_TAG,
    MODEL_TYPE_TAG,
    STAGE_TAG,
    TRIAL_TAG,
    USER_TAG,
)
from submarine_ray.tracking import entities
from submarine_ray.tracking.entities import Client
from submarine_ray.tracking.failures import translated
from submarine_ray.tracking.paged import every
from submarine_ray.tracking.service import TrackingService

STAGES = {
    "none": "None",
    "developing": "Developing",
    "development": "Developing",
    "production": "Production",
    "archived": "Archived",
}


class ModelService:
    """`run_of` answers the MLflow run of an experiment's attempt, and raises NotFound; `served` the endpoints that a
    model has; `ran` what the attempt of an experiment that has a run ran with.
    """

    def __init__(
        self,
        tracking: TrackingService,
        run_of: Callable[[str, int | None, str | None], str],
        served: Callable[[str], dict[int, str]],
        tombstones: Tombstones,
        ran: Ran,
    ) -> None:
        self._tombstones = tombstones
        self._tracking = tracking
        self._run_of = run_of
        self._served = served
        self.aliases = Aliases(self._client)
        self._details = Details(tracking, ran)
        self.finder = ModelFinder(tracking)

    def create(self, spec: RegisteredModelSpec) -> None:
        """Raises AlreadyExists."""
        client = self._client()
        client.create_registered_model(spec.name, tags.as_mlflow(spec.tags), spec.description)

    def list_all(self) -> list[RegisteredModel]:
        return [_model(found) for found in every(self._client().search_registered_models)]

    def get(self, name: str) -> RegisteredModel:
        client = self._client()
        return _model(client.get_registered_model(name))

    def patch(self, name: str, patch: RegisteredModelPatch) -> None:
        """Rename, describe; versions and tags follow. Raises NotFound, AlreadyExists, and Conflict for a new name
        while a version is served: its endpoint has the old one.
        """
        client = self._client()
        client.get_registered_model(name)
        new_name = patch.name or name
        if new_name != name:  # first: this may be refused, and then nothing has changed
            self._check_unserved(name)
            client.rename_registered_model(name, new_name)
        if patch.description is not None:
            client.update_registered_model(new_name, patch.description)

    def tag(self, name: str, tag: str, wanted: bool) -> None:
        """Give a model a tag, or take it away. Raises NotFound, InvalidSpec."""
        key, value = tags.keyed(tag)
        client = self._client()
        present = key in client.get_registered_model(name).tags
        if wanted:
            client.set_registered_model_tag(name, key, value)
        elif present:
            client.delete_registered_model_tag(name, key)

    def delete(self, name: str) -> None:
        """Raises NotFound, and Conflict while a version is served or in Production."""
        self._check_unserved(name)
        for version in self.versions(name):
            _check_stage(version)
        client = self._client()
        client.delete_registered_model(name)
        self._tombstones.bury(DeletedKind.MODEL, name)

    def create_version(self, spec: ModelVersionSpec, base_dir: str | None, attempt: int | None = None) -> ModelVersion:
        """Register a model that an experiment saved, or a trial of it: the one at `base_dir` in its artifacts, or its
        only one; of the current attempt, unless one is named.
        """
        run_id = self._run_of(spec.experiment_id, attempt, spec.trial_id)
        uri = self._saved_model(spec.experiment_id, run_id, base_dir)
        stage = _stage(spec.current_stage)
        kept = tags.as_mlflow(spec.tags) | {EXPERIMENT_TAG: spec.experiment_id, STAGE_TAG: stage}
        if spec.trial_id:
            kept[TRIAL_TAG] = spec.trial_id
        if spec.dataset:
            kept[DATASET_TAG] = spec.dataset
        if user := spec.user_id or (who.name if (who := acting()) else None):
            kept[USER_TAG] = user
        client = self._client()
        try:
            client.get_registered_model(spec.name)
        except NotFound:
            client.create_registered_model(spec.name)
        model_id = uri.removeprefix("models:/")
        made = client.create_model_version(
            spec.name, uri, run_id, kept, description=spec.description, model_id=model_id
        )
        return _version(made)

    def versions(self, name: str) -> list[ModelVersion]:
        aliases = self.aliases.all(name)
        found = every(self._client().search_model_versions, f"name = '{name}'")
        versions = sorted(map(_version, found), key=lambda one: one.version)
        for one in versions:
            one.aliases = [alias for alias, version in aliases.items() if version == one.version]
        return versions

    def of_run(self, run_id: str) -> list[ModelVersion]:
        """The versions that were registered of what a run has saved."""
        found = every(self._client().search_model_versions, f"run_id = '{run_id}'")
        return sorted(map(_version, found), key=lambda one: (one.name, one.version))

    def newest_versions(self) -> list[ModelVersion]:
        """Every model's newest version, the model last changed first."""
        client = self._client()
        models = [one for one in every(client.search_registered_models) if one.latest_versions]
        found = [_version(max(one.latest_versions, key=lambda version: int(version.version))) for one in models]
        return sorted(found, key=lambda one: one.last_updated_time or "", reverse=True)

    def version(self, name: str, version: int) -> ModelVersion:
        client = self._client()
        return _version(client.get_model_version(name, str(version)))

    def signature(self, name: str, version: int) -> ModelSignature:
        """What a version takes and gives, and an example of a request. Raises NotFound."""
        _, location = self.location(name, version)
        with translated():
            try:
                return signatures.read(self._texts(location))
            except (signatures.NotReadable, InvalidSpec) as failure:
                raise Conflict(str(failure)) from failure

    def details(self, name: str, versions: Sequence[int]) -> list[ModelVersionDetails]:
        """The runs' results and the files of some versions; those that are not there are left out. Raises NotFound
        for a model that is not there.
        """
        known = self._found(name)
        wanted = [known[version] for version in versions if version in known]

        def text_of(version: entities.ModelVersion) -> Text:
            return self._texts(self.location(name, int(version.version))[1])

        return self._details.read(wanted, text_of)

    def lineage(self, name: str, version: int) -> ModelLineage:
        """Where a version comes from, and where it went. Raises NotFound."""
        found = self._client().get_model_version(name, str(version))
        uri, saved = found.source or "", f"{SCHEME}m-"
        model_id = uri.removeprefix(SCHEME) if uri.startswith(saved) else found.tags.get(MODEL_ID_TAG)
        return self._details.lineage(found, model_id, self._served(name).get(version))

    def _texts(self, location: str) -> Text:
        """What reads the texts among a model's files, as far as they are not larger than is asked for."""

        def text(path: str, most: int) -> str | None:
            try:
                with self._tracking.file(location, path) as file:
                    return file.read_text(errors="replace") if file.stat().st_size <= most else None
            except NotFound:
                return None

        return text

    def _found(self, name: str) -> dict[int, entities.ModelVersion]:
        """A model's versions by their numbers. Raises NotFound."""
        self._client().get_registered_model(name)
        found = every(self._client().search_model_versions, f"name = '{name}'")
        return {int(one.version): one for one in found}

    def patch_version(self, patch: ModelVersionPatch) -> None:
        """Describe a version, move it to a stage, name its dataset. Raises NotFound, InvalidSpec."""
        version = str(patch.version)
        stage = _stage(patch.current_stage) if patch.current_stage is not None else None
        client = self._client()
        client.get_model_version(patch.name, version)
        if patch.description is not None:
            client.update_model_version(patch.name, version, patch.description)
        if stage is not None:
            client.set_model_version_tag(patch.name, version, STAGE_TAG, stage)
        if patch.dataset is not None:
            client.set_model_version_tag(patch.name, version, DATASET_TAG, patch.dataset)

    def tag_version(self, name: str, version: int, tag: str, wanted: bool) -> None:
        """Give a version a tag, or take it away. Raises NotFound, InvalidSpec."""
        key, value = tags.keyed(tag)
        client = self._client()
        present = key in client.get_model_version(name, str(version)).tags
        if wanted:
            client.set_model_version_tag(name, str(version), key, value)
        elif present:
            client.delete_model_version_tag(name, str(version), key)

    def delete_version(self, name: str, version: int) -> None:
        """Raises NotFound, and Conflict while the version is served or in Production."""
        found = self.version(name, version)
        self._check_unserved(name, version)
        _check_stage(found)
        client = self._client()
        client.delete_model_version(name, str(version))
        self._tombstones.bury(DeletedKind.MODEL_VERSION, f"{name}/{version}", name)

    def location(self, name: str, version: int) -> tuple[str, str]:
        """A version's `models:/` URI, and where its files lie as this service reads them. Raises NotFound."""
        client = self._client()
        uri = client.get_model_version_download_uri(name, str(version))
        if uri.startswith("models:/"):
            uri = str(self._client().get_logged_model(uri.removeprefix("models:/")).artifact_location)
        uri = self._tracking.storage_uri(uri)
        if uri.startswith("/") and not (Path(uri) / "MLmodel").exists():
            raise NotFound(
                f"Version {version} of model {name!r} has no files; its experiment's artifacts were removed."
            )
        return f"models:/{name}/{version}", uri

    def set_stage(self, name: str, version: int, stage: str) -> None:
        client = self._client()
        client.set_model_version_tag(name, str(version), STAGE_TAG, _stage(stage))

    def _check_unserved(self, name: str, version: int | None = None) -> None:
        """Raises Conflict while the version, or any of the model's, is served."""
        for number, endpoint in self._served(name).items():
            if version in (None, number):
                raise Conflict(
                    f"Version {number} of {name!r} is served by the endpoint {endpoint}; delete the endpoint first "
                    f"(`submarine delete serve {name} {number}`)."
                )

    def _saved_model(self, experiment_id: str, run_id: str, base_dir: str | None) -> str:
        """MLflow's URI of a model that the experiment saved. Raises InvalidSpec."""
        in_order = self._tracking.saved_models(run_id)
        by_name = dict(in_order)  # of several that have one name, the last
        by_number = {str(number): model_id for number, (_, model_id) in enumerate(in_order, 1)}
        *above, wanted = (base_dir or "").removeprefix("s3://submarine/").strip("/").split("/")
        # Submarine's own form is experiment/<id>/<n>: the nth that the experiment saved.
        if above[:1] == ["experiment"] and above != ["experiment", experiment_id]:
            raise InvalidSpec(
                f"{base_dir!r} is not of the experiment {experiment_id}, which experimentId names", "baseDir"
            )
        known = by_name | by_number if above else by_number | by_name
        if wanted in known:
            return f"models:/{known[wanted]}"
        if not wanted and len(in_order) == 1:
            return f"models:/{in_order[0][1]}"
        saved = ", ".join(by_name) or "none; call submarine.save_model in the training code"
        raise InvalidSpec(f"experiment {experiment_id} saved no model {wanted[:80]!r}; it saved: {saved}", "baseDir")

    def _client(self) -> Client:
        """MLflow's client; it raises our errors."""
        return self._tracking.client()


def _stage(stage: str | None) -> str:
    known = STAGES.get((stage or "None").lower())
    if known is None:
        raise InvalidSpec(
            f"unknown stage {str(stage)[:80]!r}; use None, Developing, Production or Archived", "currentStage"
        )
    return known


def _check_stage(version: ModelVersion) -> None:
    """Raises Conflict while the version is in Production."""
    if version.current_stage == STAGES["production"]:
        raise Conflict(f"Version {version.version} of {version.name!r} is in Production; change its stage first.")


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _model(model: entities.RegisteredModel) -> RegisteredModel:
    return RegisteredModel(
        name=model.name,
        creation_time=_time(model.creation_timestamp),
        last_updated_time=_time(model.last_updated_timestamp),
        description=model.description or None,
        tags=tags.of_mlflow(model.tags),
        aliases={alias: int(version) for alias, version in sorted(model.aliases.items())},
    )


def _version(version: entities.ModelVersion) -> ModelVersion:
    kept = version.tags
    return ModelVersion(
        name=version.name,
        version=int(version.version),
        id=kept.get(MODEL_ID_TAG),
        user_id=kept.get(USER_TAG) or version.user_id or "",
        experiment_id=kept.get(EXPERIMENT_TAG),
        model_type=kept.get(MODEL_TYPE_TAG),
        current_stage=kept.get(STAGE_TAG, "None"),
        creation_time=_time(version.creation_timestamp),
        last_updated_time=_time(version.last_updated_timestamp),
        source=version.source,
        dataset=kept.get(DATASET_TAG),
        description=version.description or None,
        tags=tags.of_mlflow(kept),
        aliases=sorted(version.aliases),
    )
