"""Endpoints and their traffic."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.answers.events import Event


class Endpoint(Answer):
    """An endpoint: a model version that is served."""

    url: str
    """The URL for predictions by the Open Inference Protocol."""
    invocations_url: str
    """The URL for predictions by MLflow's protocol."""
    name: str
    """The endpoint's name: `<model>-<version>`."""
    model_name: str
    """The registered model's name."""
    model_version: int
    """The version that is served."""
    cluster: str
    """The cluster it runs on."""
    replicas: int
    """The number of processes that answer requests."""
    resources: str | None
    """The resources of each process: `cpu=1,memory=2Gi,nvidia.com/gpu=1`; null if none were requested."""
    status: str
    """Creating, Running, Updating, Failed or Deleting."""
    message: str | None
    """Why it has this status, in a sentence."""
    created_time: str | None
    """When the endpoint was created."""


class EndpointWithEvents(Endpoint):
    """An endpoint with its events."""

    events: list[Event]
    """What happened to the endpoint, oldest first."""


class Latency(Answer):
    """Response times in milliseconds; null if there were no requests."""

    p50: float | None
    """The median: half of the requests took no longer."""
    p90: float | None
    """The 90th percentile."""
    p99: float | None
    """The 99th percentile."""


class TrafficPoint(Answer):
    """Requests during half a minute."""

    time: int
    """The end of the half minute, in milliseconds since 1970."""
    requests_per_second: float
    """Prediction requests per second."""
    errors_per_second: float
    """Requests per second that were answered with a 4xx or 5xx status."""
    latency: Latency
    """The response times of these requests."""


class EndpointRates(Answer):
    """The current load of an endpoint: requests, errors and latency. It includes what a shared URL sent to it."""

    requests: int
    """The number of prediction requests since Ray Serve's proxy started."""
    errors: int
    """The number of those that were answered with a 4xx or 5xx status."""
    requests_per_second: float | None
    """Requests per second over the last half minute; null until there are two measurements."""
    errors_per_second: float | None
    """Errors per second over the last half minute; null until there are two measurements."""
    latency: Latency
    """Response times over the last half minute, or since the start if there were no requests in it."""


class EndpointMetrics(EndpointRates):
    """The load of an endpoint with its history. Recording begins with the first request for it."""

    history: list[TrafficPoint]
    """The last half hour. Points are about ten seconds apart, and exist only while somebody watches."""
    known: bool
    """Whether this service can read the cluster's metrics."""


class EndpointFigures(EndpointRates):
    """The load of an endpoint under an older name: `course` is `history` of `EndpointMetrics`."""

    course: list[TrafficPoint]
    """The last half hour. Points are about ten seconds apart, and exist only while somebody watches."""
    known: bool
    """Whether this service can read the cluster's metrics."""


class Traffic(Answer):
    """How requests for a model are split between its served versions."""

    model_name: str
    """The registered model's name."""
    weights: dict[int, int]
    """The weight of each version, by its number."""
    invocations_url: str
    """The URL whose requests are split. Each version's own URL still reaches that version alone."""
    cluster: str
    """The cluster on which the versions are served."""
    status: str
    """Creating, Running or Failed."""
    message: str | None
    """Why it has this status, in a sentence."""
    created_time: str | None
    """When the requests were first split."""


class TrafficWithEvents(Traffic):
    """How requests for a model are split, with what happened."""

    events: list[Event]
    """What happened to the split, oldest first."""


class TrafficShare(EndpointRates):
    """A version's part of a model's split traffic, counted since the weights were set."""

    version: int
    """The version."""
    status: str | None
    """The status of its endpoint; null if it has none any more."""
    weight: int
    """Its weight."""
    wanted: float
    """The share of the requests that its weight asks for, from 0 to 1."""
    share: float | None
    """The share of the requests that it got, from 0 to 1; null if there were none."""


class TrafficRates(EndpointRates):
    """The current load of a shared URL, and of each version behind it."""

    versions: list[TrafficShare]
    """The versions that have a weight, by their numbers."""


class TrafficMetrics(TrafficRates):
    """The load of a shared URL with its history."""

    history: list[TrafficPoint]
    """The last half hour. Points are about ten seconds apart, and exist only while somebody watches."""
    known: bool
    """Whether this service can read the cluster's metrics."""


class Replica(Answer):
    """One process of an endpoint."""

    replica_id: str
    """The replica's id in Ray Serve."""
    state: str
    """The state in Ray Serve: STARTING, RUNNING, STOPPING..."""
    node: str | None
    """The IP address of its node."""
    pid: int | None
    """Its process id on that node."""
    started_time: str | None
    """When it started."""
