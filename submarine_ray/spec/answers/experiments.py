"""Experiments, their logs, metrics and trials."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer, Attributes, Number
from submarine_ray.spec.experiment import ExperimentSpec, ExperimentStatus


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

    @property
    def name(self) -> str:
        return self.spec.meta.name

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


class Attempt(Answer):
    """One attempt of an experiment. A retry goes on in the run of the attempt before, a rerun has one of its own."""

    attempt: int
    """Its number: 1 for the first."""
    status: str
    """As of an experiment; of an attempt that another has followed, Succeeded or Failed."""
    reason: str | None
    """Why it is in this state, in a word; Stopped, too, where another attempt took its place while it ran."""
    message: str | None
    """Why it is in this state, in a sentence."""
    created_time: str | None
    """When its cluster took it."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""
    run_id: str | None
    """Its run in MLflow; None before it has one."""
    spec: ExperimentSpec
    """What it runs, or ran."""

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


class ExperimentSummary(Answer):
    """A row of a table of experiments: without its spec."""

    experiment_id: str
    """Its id."""
    name: str
    """Its name."""
    owner: str | None
    """Whose it is."""
    framework: str
    """PyTorch, TensorFlow, XGBoost, Python, Shell or Ray."""
    cluster: str
    """Where it runs."""
    tags: list[str]
    """Words to find it by."""
    status: str
    """As of an experiment."""
    reason: str | None
    """Why it is in this state, in a word."""
    message: str | None
    """Why it is in this state, in a sentence."""
    accepted_time: str | None
    """When it was asked for."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


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
    params: dict[str, JsonValue]
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


class Param(Answer):
    """A parameter."""

    replica: str
    """Who logged it."""
    key: str
    """The parameter's name."""
    value: str
    """Its value."""


class SweepAttributes(Attributes):
    """What a sweep's trials are compared by, and which is the best."""

    metric: str
    """The metric's name."""
    mode: str
    """min or max."""
    total: int
    """How many trials there will be."""
    best: Trial | None
    """The best that has a value of the metric and has not failed."""
