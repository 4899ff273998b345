"""Registered models and versions: MLflow's registry in Submarine's words. There is no second registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from submarine_ray.core.errors import AlreadyExists, InvalidSpec, NotFound
from submarine_ray.spec.models import ModelVersionSpec, RegisteredModelSpec
from submarine_ray.tracking.service import EXPERIMENT_TAG, TrackingService

# MLflow's tags are key = value, Submarine's are words: a word is a tag with this prefix.
_TAG = "submarine.tag."
STAGES = {
    "none": "None",
    "developing": "Developing",
    "development": "Developing",
    "production": "Production",
    "archived": "Archived",
}
_STAGE_TAG = "submarine.stage"
_MAX_RESULTS = 1000


class ModelService:
    """`run_of` answers an experiment's MLflow run, and raises NotFound."""

    def __init__(self, tracking: TrackingService, run_of: Callable[[str], str]) -> None:
        self._tracking = tracking
        self._run_of = run_of

    def create(self, spec: RegisteredModelSpec) -> None:
        """Raises AlreadyExists."""
        with _mlflow_errors():
            self._client().create_registered_model(
                spec.name, {f"{_TAG}{t}": "true" for t in spec.tags}, spec.description
            )

    def list_all(self) -> list[dict[str, Any]]:
        return [_model(found) for found in self._client().search_registered_models(max_results=_MAX_RESULTS)]

    def get(self, name: str) -> dict[str, Any]:
        with _mlflow_errors():
            return _model(self._client().get_registered_model(name))

    def delete(self, name: str) -> None:
        with _mlflow_errors():
            self._client().delete_registered_model(name)

    def create_version(self, spec: ModelVersionSpec, base_dir: str | None) -> dict[str, Any]:
        """Register a model that an experiment saved: the one at `base_dir` in its artifacts, or its only one."""
        run_id = self._run_of(spec.experiment_id)
        uri = self._saved_model(spec.experiment_id, run_id, base_dir)
        stage = _stage(spec.current_stage)
        tags = {f"{_TAG}{t}": "true" for t in spec.tags} | {EXPERIMENT_TAG: spec.experiment_id, _STAGE_TAG: stage}
        if spec.dataset:
            tags["submarine.dataset"] = spec.dataset
        client = self._client()
        with _mlflow_errors():
            try:
                client.get_registered_model(spec.name)
            except Exception:  # noqa: BLE001 (MLflow has one class for all; if it was another trouble, the next call meets it)
                client.create_registered_model(spec.name)
            model_id = uri.removeprefix("models:/")
            made = client.create_model_version(
                spec.name, uri, run_id, tags, description=spec.description, model_id=model_id
            )
            return _version(made)

    def versions(self, name: str) -> list[dict[str, Any]]:
        self.get(name)
        found = self._client().search_model_versions(f"name = '{name}'", max_results=_MAX_RESULTS)
        return [_version(item) for item in found]

    def version(self, name: str, version: int) -> dict[str, Any]:
        with _mlflow_errors():
            return _version(self._client().get_model_version(name, str(version)))

    def delete_version(self, name: str, version: int) -> None:
        with _mlflow_errors():
            self._client().delete_model_version(name, str(version))

    def location(self, name: str, version: int) -> tuple[str, str]:
        """A version's `models:/` URI, and where its files lie as this service reads them. Raises NotFound."""
        with _mlflow_errors():
            uri = self._client().get_model_version_download_uri(name, str(version))
        if uri.startswith("models:/"):
            uri = str(self._client().get_logged_model(uri.removeprefix("models:/")).artifact_location)
        uri = self._tracking.storage_uri(uri)
        if uri.startswith("/") and not (Path(uri) / "MLmodel").exists():
            raise NotFound(
                f"Version {version} of model {name!r} has no files; its experiment's artifacts were removed."
            )
        return f"models:/{name}/{version}", uri

    def set_stage(self, name: str, version: int, stage: str) -> None:
        with _mlflow_errors():
            self._client().set_model_version_tag(name, str(version), _STAGE_TAG, _stage(stage))

    def _saved_model(self, experiment_id: str, run_id: str, base_dir: str | None) -> str:
        client = self._client()
        run = client.get_run(run_id)
        outputs = run.outputs.model_outputs if run.outputs else []
        saved = {client.get_logged_model(o.model_id).name: o.model_id for o in outputs}
        wanted = (base_dir or "").strip("/").rsplit("/", 1)[-1]
        if wanted in saved:
            return f"models:/{saved[wanted]}"
        if not wanted and len(saved) == 1:
            return f"models:/{next(iter(saved.values()))}"
        known = ", ".join(sorted(saved)) or "none; call submarine.save_model in the training code"
        raise InvalidSpec(f"experiment {experiment_id} saved no model {wanted[:80]!r}; it saved: {known}", "baseDir")

    def _client(self) -> Any:
        return self._tracking.client()


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """MLflow's error codes as ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as failure:
        kinds = {
            "RESOURCE_DOES_NOT_EXIST": NotFound,
            "RESOURCE_ALREADY_EXISTS": AlreadyExists,
            "INVALID_PARAMETER_VALUE": InvalidSpec,
        }
        kind = kinds.get(failure.error_code)
        if kind is None:
            raise
        raise kind(failure.message) from failure


def _stage(stage: str | None) -> str:
    known = STAGES.get((stage or "None").lower())
    if known is None:
        raise InvalidSpec(
            f"unknown stage {str(stage)[:80]!r}; use None, Developing, Production or Archived", "currentStage"
        )
    return known


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _tags(tags: dict[str, str]) -> list[str]:
    return sorted(key.removeprefix(_TAG) for key in tags if key.startswith(_TAG))


def _model(model: Any) -> dict[str, Any]:
    return {
        "name": model.name,
        "creationTime": _time(model.creation_timestamp),
        "lastUpdatedTime": _time(model.last_updated_timestamp),
        "description": model.description or None,
        "tags": _tags(model.tags),
    }


def _version(version: Any) -> dict[str, Any]:
    tags = version.tags
    return {
        "name": version.name,
        "version": int(version.version),
        "id": tags.get("submarine.model_id"),
        "userId": version.user_id or "",
        "experimentId": tags.get(EXPERIMENT_TAG),
        "modelType": tags.get("submarine.model_type"),
        "currentStage": tags.get(_STAGE_TAG, "None"),
        "creationTime": _time(version.creation_timestamp),
        "lastUpdatedTime": _time(version.last_updated_timestamp),
        "source": version.source,
        "dataset": tags.get("submarine.dataset"),
        "description": version.description or None,
        "tags": _tags(tags),
    }
