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
_LEARNING = ("tpe", "cma-es", "bayesian")


class SchedulerSpec(Document):
    """Which trials end early; iterations are counted by the reports of the sweep's metric."""

    type: str = "fifo"
    """fifo (none), asha, hyperband, median-stopping or pbt."""
    max_iterations: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """After how many reports a trial is done; default stop.iterations, else 100."""
    grace_period: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """How many reports each trial may make before it can be ended; default 1."""
    reduction_factor: float | None = Field(default=None, exclude_if=is_none, gt=1, le=100)
    """asha and hyperband: of so many trials one goes on; default 4 and 3."""
    perturbation_interval: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """pbt: after how many reports trials are compared; default 5."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.lower() not in SCHEDULERS:
            raise ValueError(f"unknown scheduler {value[:80]!r}; use one of {', '.join(SCHEDULERS)}")
        return value.lower()


class StopSpec(Document):
    """When a trial ends though it would go on."""

    iterations: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_ITERATIONS)
    """After so many reports of the metric."""
    time: float | None = Field(default=None, exclude_if=is_none, gt=0, le=MAX_SECONDS)
    """After so many seconds."""
    metric: float | None = Field(default=None, exclude_if=is_none, allow_inf_nan=False)
    """Once the metric is as good as this."""


class TuneSpec(Document):
    """A sweep: each trial is a run of the experiment with its own values for the `{{name}}` of its commands."""

    search_space: dict[str, JsonValue]
    """Parameters and what they may be: uniform, loguniform, quniform, randint, normal, choice or grid."""
    metric: str = Field(min_length=1, max_length=250)
    """The metric that trials are compared by, as the code logs it."""
    mode: Literal["min", "max"]
    """Whether a small or a large metric is good."""
    num_samples: int = Field(default=10, ge=1, le=MAX_TRIALS)
    """How many trials; with values of type grid, how many for each combination of them."""
    max_concurrent_trials: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_TRIALS)
    """How many run at once; default as many as the cluster has room for."""
    algorithm: str = "random"
    """random, grid, optuna (TPE), cma-es, bayesian or pbt."""
    scheduler: SchedulerSpec | None = Field(default=None, exclude_if=is_none)
    """Which trials end early: a word (fifo, asha, hyperband, median-stopping, pbt), or that with its options."""
    stop: StopSpec | None = Field(default=None, exclude_if=is_none)
    """When a trial ends."""
    time_budget: float | None = Field(default=None, exclude_if=is_none, gt=0, le=MAX_SECONDS)
    """Seconds after which the whole sweep ends with what it has found."""
    resources_per_trial: Quantities | None = Field(default=None, exclude_if=is_none)
    """Of a trial with one replica, instead of the role's: `cpu=2,memory=4Gi`."""
    seed: int | None = Field(default=None, exclude_if=is_none, ge=0, le=2**32 - 1)
    """Makes the same search draw the same parameters."""
    max_failures: int = Field(default=0, ge=0, le=100)
    """How often a trial that fails, or whose process is lost, begins again before it counts as failed."""
    register_best: Annotated[
        str | None, AfterValidator(lambda v: v if v is None else check_name(v, "a model", MODEL_NAME_LENGTH))
    ] = Field(default=None, exclude_if=is_none)
    """Registers the model that the best trial saved as this name's next version."""

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
        if self.algorithm in _LEARNING:
            return self.num_samples
        kinds = ("grid", "choice") if self.algorithm == "grid" else ("grid",)
        return self.num_samples * sum(1 for _ in space.combinations(self.search_space, kinds))

    def _check_domain(self, name: str, domain: space.Domain) -> None:
        kind = domain["type"]
        where = f"searchSpace.{name}"
        has_branches = any(isinstance(value, Mapping) for value in domain.get("values", ()))
        if self.algorithm == "grid" and kind not in ("grid", "choice"):
            raise ValueError(f"{where}: the algorithm grid needs values, and {kind} has a range")
        if kind == "grid" and (self.algorithm in _LEARNING or self.is_population_based):
            raise ValueError(f"{where}: {self.algorithm} chooses itself; use the type choice instead of grid")
        if kind == "grid" and "." in name and self.algorithm != "grid":
            raise ValueError(f"{where}: a grid inside of a choice goes with the algorithm grid; use the type choice")
        if self.is_population_based and has_branches:
            raise ValueError(f"{where}: pbt changes parameters one by one; it knows no objects among a choice's values")
        if self.algorithm == "cma-es" and has_branches:
            raise ValueError(f"{where}: cma-es needs the same parameters in each trial; use the algorithm optuna")
