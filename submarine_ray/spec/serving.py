"""Endpoints: a registered model's version, served over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from submarine_ray.spec.base import MODEL_NAME_LENGTH, Document, Version, check_name

ModelName = Annotated[str, AfterValidator(lambda v: check_name(v, "a model", MODEL_NAME_LENGTH))]


class ServeSpec(Document):
    """Which model to serve; `replicas`, `resources` and `cluster` are this platform's additions."""

    id: str | None = None
    """Submarine's id of the version; ignored, name and version say it."""
    model_name: ModelName
    """A registered model."""
    model_version: Version
    """Which of its versions."""
    model_id: str | None = None
    """Submarine's; ignored."""
    model_type: str | None = None
    """Submarine's; ignored."""
    model_uri: str | None = Field(default=None, alias="modelURI")
    """Submarine's; ignored."""
    replicas: int = Field(default=1, ge=1, le=1000)
    """How many processes answer."""
    resources: str | None = None
    """Of each: `cpu=1,memory=2Gi,nvidia.com/gpu=1`, each part optional."""
    cluster: str | None = None
    """Where; default the local cluster."""


class EndpointPatch(Document):
    """What may be changed of an endpoint that is there; what is left out stays as it is."""

    replicas: int | None = Field(default=None, ge=1, le=1000)
    """How many processes answer."""
    resources: str | None = None
    """Of each, in all: `cpu=1,memory=2Gi,nvidia.com/gpu=1`."""

    @model_validator(mode="after")
    def _something_changes(self) -> EndpointPatch:
        if self.replicas is None and self.resources is None:
            raise ValueError("say replicas, resources or both")
        return self


class TrafficSpec(Document):
    """How a model's requests are shared out to its served versions."""

    weights: dict[Version, Annotated[int, Field(ge=0, le=1000)]] = Field(min_length=1, max_length=20)
    """Version to weight: a version's share is its weight of all weights together, such as 90 and 10."""

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
