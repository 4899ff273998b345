"""Endpoints and their traffic."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.answers.events import Event


class Endpoint(Answer):
    """A model version that is served."""

    url: str
    """The Open Inference Protocol's infer URL."""
    invocations_url: str
    """MLflow's invocations URL."""
    name: str
    """`<model>-<version>`."""
    model_name: str
    """The model."""
    model_version: int
    """Which of its versions."""
    cluster: str
    """Where it runs."""
    replicas: int
    """How many processes answer."""
    resources: str | None
    """Of each: `cpu=1,memory=2Gi,nvidia.com/gpu=1`; null where it asks for none."""
    status: str
    """Creating, Running, Updating, Failed or Deleting."""
    message: str | None
    """Why, in a sentence."""
    created_time: str | None
    """When it was asked for."""


class EndpointWithEvents(Endpoint):
    """An endpoint, and what has happened to it."""

    events: list[Event]
    """The oldest first."""


class Latency(Answer):
    """How long answers took, in milliseconds: null without any."""

    p50: float | None
    """Half of them took no longer."""
    p90: float | None
    """Nine of ten."""
    p99: float | None
    """99 of a hundred."""


class TrafficPoint(Answer):
    """The half minute before a moment."""

    time: int
    """The moment, in milliseconds since 1970."""
    requests_per_second: float
    """Predictions asked for."""
    errors_per_second: float
    """Answered with 4xx or 5xx."""
    latency: Latency
    """Of these requests."""


class EndpointRates(Answer):
    """Requests, errors and latency of an endpoint now."""

    requests: int
    """Predictions asked for since Serve's proxy has started."""
    errors: int
    """Those answered with 4xx or 5xx."""
    requests_per_second: float | None
    """Over the last half minute; null until there was a second look."""
    errors_per_second: float | None
    """Likewise."""
    latency: Latency
    """Of the last half minute; without a request in it, of all."""


class EndpointMetrics(EndpointRates):
    """Requests, errors and latency of an endpoint. The history begins when somebody first asks."""

    history: list[TrafficPoint]
    """The last half hour, a point every ten seconds that somebody looked."""
    known: bool
    """Whether the cluster's metrics can be had from here."""


class EndpointFigures(EndpointRates):
    """The metrics of an endpoint as older clients read them: `course` is what `EndpointMetrics` calls `history`."""

    course: list[TrafficPoint]
    """The last half hour, a point every ten seconds that somebody looked."""
    known: bool
    """Whether the cluster's metrics can be had from here."""


class Traffic(Answer):
    """How a model's requests are shared out to its served versions."""

    model_name: str
    """The model."""
    weights: dict[int, int]
    """Version to weight."""
    invocations_url: str
    """Where the shared requests go; each version's own URL answers as before."""
    cluster: str
    """Where its versions are served."""
    status: str
    """Creating, Running or Failed."""
    message: str | None
    """Why, in a sentence."""


class Replica(Answer):
    """A process that answers for an endpoint."""

    replica_id: str
    """Ray Serve's name of it."""
    state: str
    """STARTING, RUNNING, STOPPING..."""
    node: str | None
    """The address of its node."""
    pid: int | None
    """Its process there."""
    started_time: str | None
    """Since when."""
