"""From a sweep's words to Ray Tune's objects: where parameters come from, and which trials end early."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from ray import tune
from ray.tune import schedulers

from submarine_ray.runner.errors import InvalidLaunch
from submarine_ray.runner.tune.growing import Drawn, Learning
from submarine_ray.runner.tune.trial import REPORTS, SCORE, longest
from submarine_ray.spec import space
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.launch import FINAL_STATUS, Tune
from submarine_ray.spec.space import Domain, Space

PERTURBATION_INTERVAL = 5
MIN_SAMPLES = 3


def algorithm(sweep: Tune) -> Any:
    """Where Ray Tune gets trials from. Raises InvalidLaunch."""
    if sweep.algorithm not in space.LEARNING:
        return Drawn(sweep)
    try:
        return Learning(_optuna(sweep), sweep.max_concurrent)
    except ImportError as failure:
        raise InvalidLaunch(
            f"the sweep failed: the algorithm {sweep.algorithm} needs {failure.name or failure} in the cluster; "
            "list it in environment.kernelSpec.pipDependencies",
            FINAL_STATUS,
        ) from failure


class Suggest:
    """What Optuna calls to have one trial's parameters drawn. A class, because the searcher's state is pickled."""

    def __init__(self, search_space: Space) -> None:
        self._space = search_space

    def __call__(self, trial: Any) -> JsonObject:
        return {"params": space.draw(self._space, functools.partial(_suggest, trial))}


def _suggest(trial: Any, name: str, domain: Domain) -> Any:
    # Its own namespace: Ray Tune puts what Optuna drew beside "params".
    name = f"drawn.{name}"
    match domain["type"]:
        case "choice":
            return trial.suggest_categorical(name, list(range(len(domain["values"]))))
        case "randint":
            return trial.suggest_int(name, domain["low"], domain["high"] - 1)
        case "normal":
            return trial.suggest_float(name, space.EDGE, 1 - space.EDGE)
        case "quniform":
            return trial.suggest_float(name, domain["low"], domain["high"], step=domain["q"])
        case kind:
            return trial.suggest_float(name, domain["low"], domain["high"], log=kind == "loguniform")


def _optuna(sweep: Tune) -> Any:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    if sweep.algorithm == "tpe":
        # The constant liar keeps trials that run at the same time from trying the same.
        sampler: Any = optuna.samplers.TPESampler(seed=sweep.seed, constant_liar=True)
    elif sweep.algorithm == "cma-es":
        import cmaes  # noqa: F401 (Optuna imports it only once it draws)

        sampler = optuna.samplers.CmaEsSampler(seed=sweep.seed)
    else:
        import scipy  # noqa: F401
        import torch  # noqa: F401

        sampler = optuna.samplers.GPSampler(seed=sweep.seed)
    return OptunaSearch(space=Suggest(sweep.search_space), metric=SCORE, mode=sweep.mode, sampler=sampler)


def scheduler(sweep: Tune) -> Any:
    """Ray Tune's scheduler; time is counted in reports of the metric."""
    options = sweep.scheduler
    kind = "pbt" if sweep.algorithm == "pbt" else options.get("type", "fifo")
    most = longest(sweep)
    grace = min(options.get("grace_period", 1), most)
    if kind == "asha":
        return schedulers.ASHAScheduler(
            time_attr=REPORTS,
            max_t=most,
            grace_period=grace,
            reduction_factor=options.get("reduction_factor", 4),
        )
    if kind == "hyperband":
        return schedulers.HyperBandScheduler(
            time_attr=REPORTS, max_t=most, reduction_factor=options.get("reduction_factor", 3)
        )
    if kind == "median-stopping":
        return schedulers.MedianStoppingRule(time_attr=REPORTS, grace_period=grace, min_samples_required=MIN_SAMPLES)
    if kind == "pbt":
        return schedulers.PopulationBasedTraining(
            time_attr=REPORTS,
            perturbation_interval=options.get("perturbation_interval", PERTURBATION_INTERVAL),
            hyperparam_mutations={"params": {name: _mutation(d) for name, d in space.domains(sweep.search_space)}},
            custom_explore_fn=functools.partial(_inside, sweep.search_space),
        )
    return schedulers.FIFOScheduler()


def _mutation(domain: Domain) -> Any:
    if domain["type"] == "choice":
        return list(domain["values"])
    if domain["type"] == "normal":
        return tune.randn(domain["mean"], domain["sd"])
    bounds = {"q": domain["q"]} if domain["type"] == "quniform" else {}
    return getattr(tune, domain["type"])(domain["low"], domain["high"], **bounds)


def _inside(search_space: Space, config: dict[str, Any]) -> dict[str, Any]:
    """PBT multiplies what it perturbs, and would leave the space or its steps."""
    params = dict(config["params"])
    for name, domain in space.domains(search_space):
        if "low" in domain:
            params[name] = space.settled(domain, params[name])
    return {**config, "params": params}
