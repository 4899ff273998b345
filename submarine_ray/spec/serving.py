"""Endpoints: a registered model's version, served over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from submarine_ray.spec.base import MODEL_NAME_LENGTH, Document, Version, check_name

ModelName = Annotated[str, AfterValidator(lambda v: check_name(v, "a model", MODEL_NAME_LENGTH))]


class ServeSpec(Document):
    """The model version to serve."""

    id: str | None = None
    """Accepted for compatibility with Submarine; ignored."""
    model_name: ModelName
    """The registered model's name."""
    model_version: Version | None = None
    """The version to serve. It, or `modelAlias`, is required."""
    model_alias: str | None = Field(default=None, max_length=255)
    """An alias of the version to serve, such as `champion`. The endpoint keeps the version that the alias names now."""
    model_id: str | None = None
    """Accepted for compatibility with Submarine; ignored."""
    model_type: str | None = None
    """Accepted for compatibility with Submarine; ignored."""
    model_uri: str | None = Field(default=None, alias="modelURI")
    """Accepted for compatibility with Submarine; ignored."""
    replicas: int = Field(default=1, ge=1, le=1000)
    """The number of processes that answer requests."""
    resources: str | None = None
    """The resources of each process: `cpu=1,memory=2Gi,nvidia.com/gpu=1`. Each part is optional."""
    cluster: str | None = None
    """The cluster to run on; default: the service's default cluster."""

    @model_validator(mode="after")
    def _names_a_version(self) -> ServeSpec:
        if (self.model_version is None) == (self.model_alias is None):
            raise ValueError("give either modelVersion or modelAlias")
        return self


class EndpointPatch(Document):
    """Changes of an endpoint. Fields that are left out stay as they are."""

    replicas: int | None = Field(default=None, ge=1, le=1000)
    """The number of processes that answer requests."""
    resources: str | None = None
    """All resources of each process: `cpu=1,memory=2Gi,nvidia.com/gpu=1`."""

    @model_validator(mode="after")
    def _something_changes(self) -> EndpointPatch:
        if self.replicas is None and self.resources is None:
            raise ValueError("say replicas, resources or both")
        return self


class TrafficSpec(Document):
    """How to split requests for a model between its served versions."""

    weights: dict[Version, Annotated[int, Field(ge=0, le=1000)]] = Field(min_length=1, max_length=20)
    """The weight of each version, by its number. With 90 and 10, every tenth request goes to the second."""

    @model_validator(mode="after")
    def _somebody_answers(self) -> TrafficSpec:
        if not any(self.weights.values()):
            raise ValueError("one weight at least must be more than 0")
        return self


class EndpointStatus:
    """The states of an endpoint. Updating: it answers as before, and not yet as was asked for since."""

    CREATING = "Creating"
    UPDATING = "Updating"
    RUNNING = "Running"
    FAILED = "Failed"
    DELETING = "Deleting"
