"""Experiments, their logs, metrics and trials."""

from __future__ import annotations

from pydantic import JsonValue

from submarine_ray.spec.answers.base import Answer, Attributes, Number
from submarine_ray.spec.experiment import ExperimentSpec, ExperimentStatus


class Experiment(Answer):
    """An experiment: its spec and its state. Times are ISO 8601 with milliseconds and offset."""

    experiment_id: str
    """The experiment's id. Its first attempt's Ray job has the same id."""
    uid: str
    """The experiment's UUID."""
    status: str
    """Accepted, Created, Running, Succeeded, Failed or Deleted."""
    accepted_time: str | None
    """When the service accepted it."""
    created_time: str | None
    """When its cluster accepted the job."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""
    spec: ExperimentSpec
    """The spec, with every documented field."""
    reason: str | None
    """Why it has this status, in one word."""
    message: str | None
    """Why it has this status, in a sentence."""
    attempt: int
    """The number of the current attempt, from 1."""
    cluster: str
    """The cluster it runs on."""
    run_id: str | None
    """The id of its MLflow run."""

    @property
    def name(self) -> str:
        return self.spec.meta.name

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


class Attempt(Answer):
    """One attempt of an experiment. A retry continues the previous attempt's MLflow run; a rerun has its own."""

    attempt: int
    """The attempt's number, from 1."""
    status: str
    """The status, as of an experiment. An earlier attempt is Succeeded or Failed."""
    reason: str | None
    """Why it has this status, in one word; also Stopped, if another attempt replaced it while it ran."""
    message: str | None
    """Why it has this status, in a sentence."""
    created_time: str | None
    """When its cluster accepted the job."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""
    run_id: str | None
    """The id of its MLflow run; null before it has one."""
    spec: ExperimentSpec
    """The spec of this attempt."""

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


class ExperimentSummary(Answer):
    """An experiment in a list, without its spec."""

    experiment_id: str
    """The experiment's id."""
    name: str
    """The experiment's name."""
    owner: str | None
    """The owner's name."""
    framework: str
    """PyTorch, TensorFlow, XGBoost, Python, Shell or Ray."""
    cluster: str
    """The cluster it runs on."""
    tags: list[str]
    """The experiment's tags."""
    status: str
    """Accepted, Created, Running, Succeeded, Failed or Deleted."""
    reason: str | None
    """Why it has this status, in one word."""
    message: str | None
    """Why it has this status, in a sentence."""
    accepted_time: str | None
    """When the service accepted it."""
    running_time: str | None
    """When its first process started."""
    finished_time: str | None
    """When it ended."""

    @property
    def seen(self) -> str:
        """Its state as people see it."""
        return ExperimentStatus.seen(self.status, self.reason)


class ExperimentTableRow(ExperimentSummary):
    """An experiment in a table."""

    values: dict[str, float | str]
    """What it logged of the columns that were asked for: numbers, or texts where it is none."""


class PodLog(Answer):
    """The log of one replica."""

    pod_name: str
    """The replica: `<experiment id>-<role>-<index>`."""
    pod_log: list[str]
    """The lines of its log."""


class ExperimentLog(Answer):
    """The logs of an experiment."""

    experiment_id: str
    """The experiment's id."""
    log_content: list[PodLog]
    """One log for each replica, ordered by name."""


class Trial(Answer):
    """One trial of a sweep."""

    trial_id: str
    """The trial's id, unique within the sweep."""
    number: int
    """The trial's number within the sweep, from 1, in the order of starts."""
    status: str
    """Running, Succeeded, Failed, or Stopped (ended early by the scheduler, a stop rule or a user)."""
    message: str | None
    """Why the trial failed, or that a user stopped it."""
    params: dict[str, JsonValue]
    """The trial's parameters. Parameters within a choice are named with dots: `optimizer.momentum`."""
    metrics: dict[str, Number]
    """The last value of each metric."""
    checkpoint: str | None
    """Where its last checkpoint is stored; null if it made none."""
    model_version: str | None
    """The version of its model that the sweep registered; null if it registered none."""
    run_id: str
    """The id of its MLflow run."""
    started_time: str | None
    """When the trial started."""
    finished_time: str | None
    """When the trial ended."""
    seconds: float | None
    """The duration in seconds; null while it runs."""


class Metric(Answer):
    """One value of a metric."""

    replica: str
    """The replica that logged it: `worker-0`."""
    key: str
    """The metric's name."""
    value: Number
    """The metric's value."""
    step: int
    """The training step."""
    timestamp: int
    """When it was logged, in milliseconds since 1970."""


class Param(Answer):
    """A parameter that a replica logged."""

    replica: str
    """The replica that logged it: `worker-0`."""
    key: str
    """The parameter's name."""
    value: str
    """The parameter's value, as text."""


class SweepAttributes(Attributes):
    """The attributes of a list of trials."""

    metric: str
    """The metric that trials are compared by."""
    mode: str
    """Whether the metric is minimized or maximized: min or max."""
    total: int
    """The number of trials that the sweep will have."""
    best: Trial | None
    """The best trial so far: of those that logged the metric and did not fail."""
