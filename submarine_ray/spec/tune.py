"""Tuning: the `tune` of an experiment's spec, which makes of it a sweep whose trials are runs of that experiment.

An addition to Submarine's contract, whose documents promise hyperparameter tuning without saying how it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from submarine_ray.spec import space
from submarine_ray.spec.base import MODEL_NAME_LENGTH, Document, check_name, is_none
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.quantities import Quantities

MAX_TRIALS = 10_000
MAX_ITERATIONS = 1_000_000
MAX_SECONDS = 30 * 24 * 3600

# What a user may write, and what it is called in the cluster.
ALGORITHMS = {
    "random": "random",
    "grid": "grid",
    "optuna": "tpe",
    "tpe": "tpe",
    "optuna-tpe": "tpe",
    "cma-es": "cma-es",
    "cmaes": "cma-es",
    "optuna-cmaes": "cma-es",
    "bayesian": "bayesian",
    "pbt": "pbt",
}
SCHEDULERS = ("fifo", "asha", "hyperband", "median-stopping", "pbt")


class SchedulerSpec(Document):
    """The scheduler, which ends trials early. Its iterations are reports of the sweep's metric."""

    type: str = "fifo"
    """fifo (ends no trial early), asha, hyperband, median-stopping or pbt."""
    max_iterations: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """The number of reports after which a trial is complete; default: `stop.iterations`, else 100."""
    grace_period: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """The smallest number of reports before a trial can be ended early; default 1."""
    reduction_factor: float | None = Field(default=None, exclude_if=is_none, gt=1, le=100)
    """asha and hyperband: one of so many trials continues; default 4 for asha and 3 for hyperband."""
    perturbation_interval: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """pbt: the number of reports between comparisons of trials; default 5."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.lower() not in SCHEDULERS:
            raise ValueError(f"unknown scheduler {value[:80]!r}; use one of {', '.join(SCHEDULERS)}")
        return value.lower()


class StopSpec(Document):
    """Conditions that end a trial."""

    iterations: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """The number of reports of the metric."""
    time: float | None = Field(default=None, exclude_if=is_none, gt=0, le=MAX_SECONDS)
    """The trial's duration in seconds."""
    metric: float | None = Field(default=None, exclude_if=is_none, allow_inf_nan=False)
    """A value of the metric that is good enough."""


class TuneSpec(Document):
    """A sweep: each trial runs the experiment with its own values for the `{{name}}` in its commands."""

    search_space: dict[str, JsonValue]
    """The parameters, each with a domain: uniform, loguniform, quniform, randint, normal, choice or grid."""
    metric: str = Field(min_length=1, max_length=250)
    """The name of the logged metric that trials are compared by."""
    mode: Literal["min", "max"]
    """Whether to minimize or maximize the metric."""
    num_samples: int = Field(default=10, ge=1, le=MAX_TRIALS)
    """The number of trials; with `grid` domains, the number for each combination of their values."""
    max_concurrent_trials: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_TRIALS)
    """The largest number of trials that run at once; default: as many as the cluster has room for."""
    algorithm: str = "random"
    """The search algorithm: random, grid, optuna (TPE), cma-es, bayesian or pbt."""
    scheduler: SchedulerSpec | None = Field(default=None, exclude_if=is_none)
    """The scheduler, which ends trials early: its name, or an object with options."""
    stop: StopSpec | None = Field(default=None, exclude_if=is_none)
    """Conditions that end a trial."""
    time_budget: float | None = Field(default=None, exclude_if=is_none, gt=0, le=MAX_SECONDS)
    """The longest duration of the whole sweep in seconds. After it, the best trial so far wins."""
    resources_per_trial: Quantities | None = Field(default=None, exclude_if=is_none)
    """For trials with one replica, instead of the role's resources: `cpu=2,memory=4Gi`."""
    seed: int | None = Field(default=None, exclude_if=is_none, ge=0, le=2**32 - 1)
    """The seed of the random numbers. The same search with the same seed draws the same parameters."""
    max_failures: int = Field(default=0, ge=0, le=100)
    """How often a trial restarts after a failure or the loss of its process."""
    register_best: Annotated[
        str | None, AfterValidator(lambda v: v if v is None else check_name(v, "a model", MODEL_NAME_LENGTH))
    ] = Field(default=None, exclude_if=is_none)
    """The name of a registered model. The best trial's saved model becomes its next version."""

    @field_validator("search_space")
    @classmethod
    def _space(cls, value: JsonObject) -> JsonObject:
        if not value:
            raise ValueError("is empty; give at least one parameter")
        return space.normalized(value)

    @field_validator("algorithm")
    @classmethod
    def _algorithm(cls, value: str) -> str:
        if value.lower() not in ALGORITHMS:
            known = ", ".join(dict.fromkeys(ALGORITHMS.values()))
            raise ValueError(f"unknown algorithm {value[:80]!r}; use one of {known}")
        return ALGORITHMS[value.lower()]

    @field_validator("scheduler", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _together(self) -> TuneSpec:
        for name, domain in space.domains(self.search_space):
            self._check_domain(name, domain)
        if self.is_population_based:
            if self.scheduler is not None and self.scheduler.type not in ("pbt", "fifo"):
                raise ValueError(f"scheduler: {self.scheduler.type} does not go with the algorithm pbt")
            if self.algorithm not in ("random", "pbt"):
                raise ValueError(f"algorithm: the scheduler pbt draws its own; {self.algorithm} does not go with it")
        return self

    @property
    def is_population_based(self) -> bool:
        return self.algorithm == "pbt" or (self.scheduler is not None and self.scheduler.type == "pbt")

    @property
    def trials(self) -> int:
        """How many trials there will be."""
        return space.trials(self.search_space, self.num_samples, self.algorithm)

    def _check_domain(self, name: str, domain: space.Domain) -> None:
        kind = domain["type"]
        where = f"searchSpace.{name}"
        has_branches = any(isinstance(value, Mapping) for value in domain.get("values", ()))
        if self.algorithm == "grid" and kind not in ("grid", "choice"):
            raise ValueError(f"{where}: the algorithm grid needs values, and {kind} has a range")
        if kind == "grid" and (self.algorithm in space.LEARNING or self.is_population_based):
            raise ValueError(f"{where}: {self.algorithm} chooses itself; use the type choice instead of grid")
        if kind == "grid" and "." in name and self.algorithm != "grid":
            raise ValueError(f"{where}: a grid inside of a choice goes with the algorithm grid; use the type choice")
        if self.is_population_based and has_branches:
            raise ValueError(f"{where}: pbt changes parameters one by one; it knows no objects among a choice's values")
        if self.algorithm == "cma-es" and has_branches:
            raise ValueError(f"{where}: cma-es needs the same parameters in each trial; use the algorithm optuna")


class ExtensionSpec(Document):
    """What a sweep is extended by."""

    samples: int = Field(ge=1, le=MAX_TRIALS)
    """The number of samples to add to the sweep's `numSamples`."""
