"""`submarine.tune`: a sweep over a command or a function, from a notebook cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.run import Command, ExperimentHandle, experiment_spec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class SweepHandle(ExperimentHandle):
    """A sweep that was started."""

    def best(self) -> dict[str, Any] | None:
        """Return the best trial so far: its `params`, `metrics`, `checkpoint`, `trialId`; None before there is one."""
        found = self._client.sweep(self.id)["best"]
        return dict(found) if found else None

    def trials(self) -> pd.DataFrame:
        """Return the trials so far, the best first, one row each, with columns `params.NAME` and `metrics.NAME`."""
        import pandas as pd

        rows = [
            {
                "trialId": trial["trialId"],
                "number": trial["number"],
                "status": trial["status"],
                **{f"params.{name}": value for name, value in trial["params"].items()},
                **{f"metrics.{name}": value for name, value in trial["metrics"].items()},
                "seconds": trial["seconds"],
                "message": trial["message"],
            }
            for trial in self._client.trials(self.id)
        ]
        return pd.DataFrame(rows)

    def stop_trial(self, trial_id: str) -> None:
        """Stop one trial; the sweep goes on. Raises ApiError if the trial has ended."""
        self._client.stop_trial(self.id, trial_id)

    def extend(self, samples: int) -> None:
        """Add samples to the sweep, whether it runs or has ended; `wait` then waits for them too.

        Raises ApiError for a grid search, which has no more.
        """
        self._client.extend_sweep(self.id, samples)

    def plot(self) -> Figure:
        """Optimisation history and parallel coordinates of the trials so far; a notebook shows them.

        Raises ValueError before a trial has reported the metric.
        """
        from submarine_ray.client.plots import draw

        return draw(self._client.sweep(self.id), self.id)


def tune(
    target: Command | Callable[..., Any],
    search_space: dict[str, Any],
    *,
    metric: str,
    mode: str,
    num_samples: int = 10,
    max_concurrent_trials: int | None = None,
    algorithm: str = "random",
    scheduler: str | dict[str, Any] | None = None,
    stop: dict[str, Any] | None = None,
    time_budget: float | None = None,
    seed: int | None = None,
    max_failures: int = 0,
    register_best: str | None = None,
    name: str | None = None,
    workers: int = 1,
    framework: str | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    memory_per_worker: str | None = None,
    env: dict[str, str] | None = None,
    pip: Sequence[str] = (),
    working_dir: str | Path | None = None,
    cluster: str | None = None,
    queue: bool = False,
    client: ExperimentClient | None = None,
) -> SweepHandle:
    """Start a sweep: many trials of a command or a function, each with its own parameters; returns at once.

    Args:
        target: a command with `{{lr}}` where a parameter's value goes; or a function that takes the parameters as a
            dict and reports with `ray.train.report` or `submarine.log_metric`.
        search_space: what to try: `{"lr": {"type": "loguniform", "low": 1e-4, "high": 0.1}}`. docs/tuning.md lists
            all types.
        metric: the metric whose last value compares trials.
        mode: `"min"` if low values of the metric are good, `"max"` if high ones are.
        num_samples: number of trials; with values of type grid, for each combination of them.
        max_concurrent_trials: the largest number of trials at once; default: as many as have room.
        algorithm: random, grid, optuna (TPE), cma-es, bayesian or pbt.
        scheduler: the algorithm that ends trials early: fifo, asha, hyperband, median-stopping or pbt, or an object
            with its options.
        stop: the conditions that end a trial: `{"iterations": 100, "time": 600, "metric": 0.99}`, each optional.
        time_budget: seconds for the whole sweep.
        seed: the seed of the random numbers: the same seed draws the same parameters.
        max_failures: how many times a failed trial starts again.
        register_best: the name under which the best trial's saved model is registered.
        name: the experiment's name; default: the name of the script or function.
        workers: processes of each trial. This and the following are the same as in `submarine.run`.
        framework: PyTorch, TensorFlow, XGBoost, Python, Shell or Ray.
        cpus_per_worker: CPUs of each process.
        gpus_per_worker: GPUs of each process.
        memory_per_worker: memory of each process, as `2Gi`.
        env: environment variables.
        pip: packages to install for it.
        working_dir: a directory to send.
        cluster: where to run; default: the service's default cluster.
        queue: wait for a cluster that is too small now, instead of being refused.
        client: the client of the control service; default one for the service that the environment names.

    Raises:
        ApiError, ServiceUnreachable: the service refused, or does not answer.
    """
    client = client or ExperimentClient()
    size = (cpus_per_worker, gpus_per_worker, memory_per_worker)
    spec = experiment_spec(client, target, name, workers, framework, *size, env, pip, working_dir)
    sweep: dict[str, Any] = {
        "searchSpace": search_space,
        "metric": metric,
        "mode": mode,
        "numSamples": num_samples,
        "maxConcurrentTrials": max_concurrent_trials,
        "algorithm": algorithm,
        "scheduler": scheduler,
        "stop": stop,
        "timeBudget": time_budget,
        "seed": seed,
        "maxFailures": max_failures,
        "registerBest": register_best,
    }
    spec["tune"] = {key: value for key, value in sweep.items() if value is not None}
    spec |= {key: value for key, value in {"cluster": cluster, "queue": queue or None}.items() if value is not None}
    return SweepHandle(client, client.create_experiment(spec)["experimentId"])
