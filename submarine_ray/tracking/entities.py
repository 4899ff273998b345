"""MLflow's client and what it answers, as far as this platform uses them; MLflow itself gives few of them a type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

Entity = TypeVar("Entity", covariant=True)


class Page(Protocol[Entity]):
    """Some of a search's results; `token` asks for the next ones."""

    token: str | None

    def __iter__(self) -> Iterator[Entity]: ...

    def __len__(self) -> int: ...


class MetricPoint(Protocol):
    """One value of a metric; `timestamp` in milliseconds since 1970."""

    key: str
    value: float
    step: int
    timestamp: int


class RunInfo(Protocol):
    """A run's own fields; times in milliseconds since 1970."""

    run_id: str
    run_name: str | None
    experiment_id: str
    status: str
    lifecycle_stage: str
    artifact_uri: str
    start_time: int
    end_time: int | None


class RunData(Protocol):
    """What was logged to a run."""

    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    _metric_objs: Sequence[MetricPoint]
    """The last point of each metric, with its step and time."""


class ModelOutput(Protocol):
    """A reference to a model that a run saved."""

    model_id: str


class Dataset(Protocol):
    """Data that a run has logged as its input; `source` is JSON."""

    name: str
    digest: str
    source_type: str
    source: str


class InputTag(Protocol):
    """A tag of an input."""

    key: str
    value: str


class DatasetInput(Protocol):
    """A dataset, and what it was for."""

    dataset: Dataset
    tags: Sequence[InputTag]


class RunInputs(Protocol):
    """What a run has read."""

    dataset_inputs: Sequence[DatasetInput]


class RunOutputs(Protocol):
    """What a run saved."""

    model_outputs: Sequence[ModelOutput]


class Run(Protocol):
    """A run."""

    info: RunInfo
    data: RunData
    inputs: RunInputs | None
    outputs: RunOutputs | None


class Experiment(Protocol):
    """An MLflow experiment: a folder of runs."""

    experiment_id: str
    name: str


class LoggedModel(Protocol):
    """A model that a run saved, registered or not."""

    model_id: str
    name: str
    source_run_id: str | None
    artifact_location: str
    creation_timestamp: int


class ModelVersion(Protocol):
    """A version of a registered model."""

    name: str
    version: str
    aliases: Sequence[str]
    run_id: str | None
    source: str
    user_id: str | None
    description: str | None
    tags: Mapping[str, str]
    creation_timestamp: int | None
    last_updated_timestamp: int | None


class RegisteredModel(Protocol):
    """A registered model; `latest_versions` has one of each of MLflow's stages."""

    name: str
    description: str | None
    tags: Mapping[str, str]
    latest_versions: Sequence[ModelVersion]
    aliases: Mapping[str, str]
    creation_timestamp: int | None
    last_updated_timestamp: int | None


class ArtifactInfo(Protocol):
    """A file or directory among a run's artifacts; `file_size` in bytes."""

    path: str
    is_dir: bool
    file_size: int | None


class ArtifactStore(Protocol):
    """The artifacts below one URI (MLflow's `ArtifactRepository`)."""

    def list_artifacts(self, path: str | None = None) -> Sequence[ArtifactInfo]: ...

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str: ...

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None: ...

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None: ...

    def delete_artifacts(self, artifact_path: str) -> None: ...


class Runs(Protocol):
    """The part of MLflow's client that is about runs."""

    def get_run(self, run_id: str) -> Run: ...

    def create_run(self, experiment_id: str, *, run_name: str, tags: Mapping[str, str]) -> Run: ...

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        *,
        max_results: int = ...,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Page[Run]: ...

    def set_terminated(self, run_id: str, status: str) -> None: ...

    def delete_run(self, run_id: str) -> None: ...

    def set_tag(self, run_id: str, key: str, value: str) -> None: ...

    def log_param(self, run_id: str, key: str, value: str) -> object: ...

    def get_metric_history(self, run_id: str, key: str) -> Sequence[MetricPoint]: ...

    def get_experiment(self, experiment_id: str) -> Experiment: ...

    def get_experiment_by_name(self, name: str) -> Experiment | None: ...

    def create_experiment(self, name: str, artifact_location: str | None = None) -> str: ...


class Registry(Protocol):
    """The part of MLflow's client that is about models: saved ones, and registered ones with their versions."""

    def get_logged_model(self, model_id: str) -> LoggedModel: ...

    def create_registered_model(
        self, name: str, tags: Mapping[str, str] | None = None, description: str | None = None
    ) -> RegisteredModel: ...

    def get_registered_model(self, name: str) -> RegisteredModel: ...

    def search_registered_models(
        self, *, filter_string: str | None = None, max_results: int = ..., page_token: str | None = None
    ) -> Page[RegisteredModel]: ...

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel: ...

    def update_registered_model(self, name: str, description: str | None = None) -> RegisteredModel: ...

    def delete_registered_model(self, name: str) -> None: ...

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None: ...

    def delete_registered_model_tag(self, name: str, key: str) -> None: ...

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        description: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion: ...

    def get_model_version(self, name: str, version: str) -> ModelVersion: ...

    def get_model_version_download_uri(self, name: str, version: str) -> str: ...

    def search_model_versions(
        self, filter_string: str | None = None, *, max_results: int = ..., page_token: str | None = None
    ) -> Page[ModelVersion]: ...

    def update_model_version(self, name: str, version: str, description: str | None = None) -> ModelVersion: ...

    def delete_model_version(self, name: str, version: str) -> None: ...

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None: ...

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None: ...

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None: ...

    def delete_registered_model_alias(self, name: str, alias: str) -> None: ...


class Client(Runs, Registry, Protocol):
    """MLflow's client (`MlflowClient`)."""
