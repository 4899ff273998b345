"""What the REST API answers: the shapes behind `result`, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from submarine_ray.spec.experiment import EnvironmentSpec, ExperimentSpec
from submarine_ray.spec.notebooks import NotebookSpec

# JSON has none of these three.
Number = float | Literal["NaN", "Infinity", "-Infinity"]


class Answer(BaseModel):
    """Answers may gain fields in a later version; none goes away."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True, extra="allow"
    )


class Experiment(Answer):
    """An experiment: what was asked for, and how far it has come. Times are ISO 8601 with milliseconds and offset."""

    experiment_id: str
    """Its id, also of its first Ray job."""
    uid: str
    """A UUID."""
    status: str
    """Accepted, Created, Running, Succeeded, Failed or Deleted."""
    accepted_time: str | None
    """When it was asked for."""
    created_time: str | None
    """When its cluster took it."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""
    spec: ExperimentSpec
    """What was asked for, with every documented field."""
    reason: str | None
    """Why it is in this state, in a word."""
    message: str | None
    """Why it is in this state, in a sentence."""
    attempt: int
    """How often it has been started: 1 for the first time."""
    cluster: str
    """Where it runs."""
    run_id: str | None
    """Its run in MLflow."""


class Event(Answer):
    """Something that happened."""

    time: str
    """When, for the first time."""
    last_time: str
    """When it last happened: what comes again while the state stays is one event."""
    count: int
    """How often it has happened."""
    reason: str
    """What, in a word."""
    message: str
    """What, in a sentence."""


class PodLog(Answer):
    """What one replica wrote."""

    pod_name: str
    """`<experiment id>-<role>-<index>`."""
    pod_log: list[str]
    """Its lines."""


class ExperimentLog(Answer):
    """What an experiment's replicas wrote."""

    experiment_id: str
    """Whose log."""
    log_content: list[PodLog]
    """By replica, in the order of their names."""


class Trial(Answer):
    """One trial of a sweep."""

    trial_id: str
    """Its id, unique in the sweep."""
    number: int
    """Its place in the order in which trials began, from 1."""
    status: str
    """Running, Succeeded, Stopped (early, by the scheduler or a stop rule) or Failed."""
    message: str | None
    """Why it failed."""
    params: dict[str, Any]
    """What it tried; parameters inside of a choice are named with dots."""
    metrics: dict[str, Number]
    """The last value of each metric."""
    checkpoint: str | None
    """Where its last checkpoint lies, if it made one."""
    model_version: str | None
    """The version that its model was registered as."""
    run_id: str
    """Its MLflow run."""
    started_time: str | None
    """When it began."""
    finished_time: str | None
    """When it ended."""
    seconds: float | None
    """How long it took."""


class Metric(Answer):
    """One value of a metric."""

    replica: str
    """Who logged it: `worker-0`."""
    key: str
    """The metric's name."""
    value: Number
    """The value."""
    step: int
    """The training step."""
    timestamp: int
    """When it was logged, in ms since 1970."""


class BatchStored(Answer):
    """How far a writer's points are stored."""

    sequence: int
    """The writer's last sequence number that is stored; 0 before the first."""


class Param(Answer):
    """A parameter."""

    replica: str
    """Who logged it."""
    key: str
    """The parameter's name."""
    value: str
    """Its value."""


class Page(Answer):
    """A page that belongs to the platform."""

    available: bool
    """Whether it is there now."""
    url: str
    """Where, on this service."""


class Environment(Answer):
    """A stored environment."""

    environment_id: str
    """Its id."""
    environment_spec: EnvironmentSpec
    """What it consists of."""


class TemplateId(Answer):
    """A template's id, in Submarine's form."""

    id: int
    """A running number."""
    server_timestamp: int
    """When it was created, in ms since 1970."""


class StoredParameter(Answer):
    """A parameter as it is stored."""

    name: str
    """What stands between `{{` and `}}`."""
    required: str
    """`true` or `false`."""
    description: str | None
    """For people."""
    value: str | None
    """What holds if a submission does not name it."""


class StoredTemplate(Answer):
    """A template as it is stored."""

    name: str
    """Its name."""
    author: str | None
    """Who made it."""
    description: str | None
    """For people."""
    parameters: list[StoredParameter]
    """Its own, and three of each role: replicas, CPU and memory."""
    experiment_spec: dict[str, Any]
    """The experiment's spec with its placeholders."""
    base: str | None = None
    """The template that it began with."""
    version: str | None = None
    """Which version it is."""
    read_only: bool = False
    """Whether it comes with the platform, and nobody changes it."""


class Template(Answer):
    """A template."""

    experiment_template_id: TemplateId
    """Its id."""
    experiment_template_spec: StoredTemplate
    """What it consists of."""


class Notebook(Answer):
    """A notebook."""

    notebook_id: str
    """Its id."""
    name: str
    """Its name."""
    uid: str
    """A UUID."""
    url: str
    """Where JupyterLab opens, on this service."""
    status: str
    """creating, waiting, running, terminating, stopped or failed."""
    reason: str
    """Why, in a sentence."""
    created_time: str | None
    """When it was asked for."""
    deleted_time: str | None
    """When it was deleted."""
    spec: NotebookSpec
    """What was asked for, with the whole of its environment."""


class RegisteredModel(Answer):
    """A registered model."""

    name: str
    """Its name."""
    creation_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    description: str | None
    """For people."""
    tags: list[str]
    """Words to find it by."""


class ModelVersion(Answer):
    """A version of a registered model."""

    name: str
    """The model."""
    version: int
    """Which version, from 1 on."""
    id: str | None
    """Of the saved model."""
    user_id: str
    """Who registered it."""
    experiment_id: str | None
    """What trained it."""
    model_type: str | None
    """pytorch, tensorflow, or MLflow's name of another kind."""
    current_stage: str
    """None, Developing, Production or Archived."""
    creation_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    last_updated_time: str | None
    """When, `yyyy-MM-dd HH:mm:ss` in UTC."""
    source: str | None
    """Where its files are, as MLflow writes it."""
    dataset: str | None
    """What it was trained on."""
    description: str | None
    """For people."""
    tags: list[str]
    """Words to find it by."""


class ModelColumn(Answer):
    """A column or tensor that a model takes or gives."""

    name: str | None
    """Its name; a model's only tensor may have none."""
    type: str
    """MLflow's name of its type: double, long, string, float32..."""
    shape: list[int] | None
    """Of a tensor; -1 for any size."""
    required: bool
    """Whether a request must have it."""


class ModelSignature(Answer):
    """What a model version takes and gives; empty where it was saved without a signature."""

    inputs: list[ModelColumn]
    """What it takes."""
    outputs: list[ModelColumn]
    """What it gives."""
    example: dict[str, Any] | None
    """A body for /invocations: what was saved as an example, else zeros."""


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


class EndpointFigures(Answer):
    """What an endpoint has to do. The course begins when somebody first looks."""

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
    known: bool
    """Whether the cluster's metrics can be had from here."""
    course: list[TrafficPoint]
    """The last half hour, a point every ten seconds that somebody looked."""


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


class Cluster(Answer):
    """A cluster that experiments can run on."""

    name: str
    """Its name."""
    kind: str
    """local, ray or kuberay."""
    address: str | None
    """Of its dashboard."""
    serve_url: str | None
    """Where its endpoints answer."""
    mode: str | None
    """On Kubernetes: dedicated or shared."""
    namespace: str | None
    """On Kubernetes: where everything is made."""
    context: str | None
    """On Kubernetes: the kubeconfig's context."""
    allow: dict[str, list[str]] | None
    """On Kubernetes: patterns of what experiments may name there."""
    trust_experiments: bool | None
    """On Kubernetes: whether they may name everything but the platform's own."""
    labels: dict[str, str]
    """What placement can ask for."""
    gpu_type: str | None
    """The GPUs that it has."""
    created_time: str | None
    """When it was registered."""
    observed_time: str | None
    """When it was last looked at."""
    deleting: bool
    """Whether it goes as soon as what was made there is gone."""
    healthy: bool | None
    """Whether it answered then; null before the first look."""
    message: str | None
    """What is wrong, or what users should know of a cluster that answers."""
    nodes: int | None
    """How many there are."""
    resources: dict[str, float | None] | None
    """Its CPUs, memory in bytes, and GPUs; null where there is no bound."""


class ClusterCheck(Answer):
    """One thing that a cluster needs."""

    check: str
    """What was looked at."""
    ok: bool | None
    """Whether it is as it must be; null if nobody could tell."""
    message: str
    """What was found."""
    fix: str | None
    """What to do, if it is not well."""


class Package(Answer):
    """An uploaded directory."""

    url: str
    """`package://<sha256>`, for an experiment's `code.url`."""
