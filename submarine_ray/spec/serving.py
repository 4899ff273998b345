"""Endpoints: a registered model's version, served over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from submarine_ray.spec.base import MODEL_NAME_LENGTH, Document, check_name

ModelName = Annotated[str, AfterValidator(lambda v: check_name(v, "a model", MODEL_NAME_LENGTH))]


class ServeSpec(Document):
    """Which model to serve; `replicas`, `resources` and `cluster` are this platform's additions."""

    id: str | None = None
    model_name: ModelName
    model_version: int = Field(ge=1)
    model_id: str | None = None
    model_type: str | None = None
    model_uri: str | None = Field(default=None, alias="modelURI")
    replicas: int = Field(default=1, ge=1, le=1000)
    resources: str | None = None
    cluster: str | None = None


class EndpointStatus:
    """The states of an endpoint."""

    CREATING = "Creating"
    RUNNING = "Running"
    FAILED = "Failed"
    DELETING = "Deleting"
