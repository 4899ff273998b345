"""Gradient boosting with LightGBM, on one worker or on several of Ray Train's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boosting
import lightgbm
import pandas as pd
import tabular

import submarine_ray as submarine

TARGET = boosting.TARGET  # a name of this module's own: workers get its functions, not the module of it


def main() -> None:
    parser = boosting.parser()
    parser.add_argument("--num-leaves", type=int, default=31)
    options = parser.parse_args()
    task, parts, test_x, test_y = boosting.tables(options)
    settings = boosting.settings(options, parameters(task, options))
    booster = boosting.trained(fit, distributed, parts, settings, options.workers)
    booster = best_of(booster)

    predicted = booster.predict(test_x)
    submarine.log_param("rounds_used", str(booster.num_trees()))
    for name, value in task.scores(test_y.to_numpy(), predicted).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    tabular.draw_importances(pd.Series(booster.feature_importance("gain"), test_x.columns), "gain")
    submarine.save_model("lightgbm", booster, options.model_name or None, input_example=test_x.head(5))


def parameters(task: tabular.Task, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"objective": "regression", "metric": ["rmse"]}
    if task.classes and len(task.classes) == 2:
        found = {"objective": "binary", "metric": ["binary_logloss", "auc"]}
    elif task.classes:
        found = {"objective": "multiclass", "num_class": len(task.classes), "metric": ["multi_logloss"]}
    own = {"learning_rate": options.learning_rate, "num_leaves": options.num_leaves, "seed": tabular.SEED}
    return {**found, **own, "bagging_fraction": options.subsample, "bagging_freq": 1, "verbose": -1}


def reporting(log: Callable[[dict[str, float], int], Any], every: int) -> Callable[[Any], None]:
    """Passes on what the validation rows say, every few rounds."""

    def report(now: Any) -> None:
        if (now.iteration + 1) % every == 0:
            values = {f"validation_{name}": value for _, name, value, *_ in now.evaluation_result_list}
            log(values, now.iteration + 1)

    return report


def fit(
    train: pd.DataFrame, valid: pd.DataFrame, settings: dict[str, Any], log: Callable[..., Any]
) -> lightgbm.Booster:
    """On the rows of one worker; LightGBM's network sums over all of them."""
    rows = lightgbm.Dataset(train.drop(columns=[TARGET]), train[TARGET])
    callbacks = [reporting(log, settings["every"])]
    if settings["early_stopping"]:
        callbacks.append(lightgbm.early_stopping(settings["early_stopping"], verbose=False))
    return lightgbm.train(
        settings["params"],
        rows,
        settings["rounds"],
        valid_sets=[lightgbm.Dataset(valid.drop(columns=[TARGET]), valid[TARGET], reference=rows)],
        valid_names=["validation"],
        callbacks=callbacks,
    )


def distributed(parts: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> lightgbm.Booster:
    from ray.train.lightgbm import LightGBMTrainer, RayTrainReportCallback

    return boosting.distributed(LightGBMTrainer, worker, parts, settings, workers, RayTrainReportCallback.get_model)


def worker(settings: dict[str, Any]) -> None:
    import ray.train
    from ray.train.lightgbm import RayTrainReportCallback, get_network_params

    is_first = ray.train.get_context().get_world_rank() == 0
    log = settings["log"] if is_first else lambda *_: None  # all judge by the same rows
    parts = [ray.train.get_dataset_shard(name).materialize().to_pandas() for name in ("train", "validation")]
    shared = {**get_network_params(), "tree_learner": "data", "pre_partition": True}
    settings = {**settings, "params": {**settings["params"], **shared}}
    booster = best_of(fit(*parts, settings, log))
    with tempfile.TemporaryDirectory() as directory:
        booster.save_model(str(Path(directory, RayTrainReportCallback.CHECKPOINT_NAME)))
        checkpoint = ray.train.Checkpoint.from_directory(directory) if is_first else None
        ray.train.report({}, checkpoint=checkpoint)


def best_of(booster: lightgbm.Booster) -> lightgbm.Booster:
    """Cut at the best round, where the training stopped early."""
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration or None))


if __name__ == "__main__":
    main()
