"""Gradient boosting with LightGBM, on one worker or on several of Ray Train's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import pandas as pd
import tabular

import submarine_ray as submarine

TARGET = "__target__"
REPORTS = 20  # so many points has a curve, however many rounds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="CSV or Parquet; empty: the breast cancer table")
    parser.add_argument("--target", default="target")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--early-stopping", type=int, default=20, help="rounds without progress; 0: never")
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--num-leaves", type=int, default=31)
    parser.add_argument("--subsample", type=float, default=1.0)
    parser.add_argument("--test-size", type=float, default=0.25)
    parser.add_argument("--model-name")
    options = parser.parse_args()

    task = tabular.numbers_only(tabular.load(options.data, options.target))
    task = tabular.Task(task.features, task.codes, task.classes)
    rest_x, test_x, rest_y, test_y = task.split(options.test_size)
    # What stops the training early must not be what the model is judged by.
    train_x, valid_x, train_y, valid_y = tabular.Task(rest_x, rest_y, task.classes).split(0.2)
    settings = {
        "params": parameters(task, options),
        "rounds": options.rounds,
        "early_stopping": options.early_stopping or None,
        "every": max(1, options.rounds // REPORTS),
    }
    tables = {"train": train_x.assign(**{TARGET: train_y}), "validation": valid_x.assign(**{TARGET: valid_y})}
    booster = (distributed if options.workers > 1 else alone)(tables, settings, options.workers)
    booster = best_of(booster)

    predicted = booster.predict(test_x)
    submarine.log_param("rounds_used", str(booster.num_trees()))
    for name, value in task.scores(test_y.to_numpy(), predicted).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    tabular.draw_importances(pd.Series(booster.feature_importance("gain"), train_x.columns), "gain")
    submarine.save_model("lightgbm", booster, options.model_name or None, input_example=train_x.head(5))


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


def alone(tables: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> lightgbm.Booster:
    def log(metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            submarine.log_metric(name, value, step)

    return fit(tables["train"], tables["validation"], settings, log)


def distributed(tables: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> lightgbm.Booster:
    import ray
    import ray.data
    from ray.train import DataConfig, RunConfig, ScalingConfig
    from ray.train.lightgbm import LightGBMTrainer, RayTrainReportCallback

    ray.init(log_to_driver=False, logging_level="WARNING")
    datasets = {name: ray.data.from_pandas(rows) for name, rows in tables.items()}
    with submarine.remote_log() as log, tempfile.TemporaryDirectory() as storage:
        trainer = LightGBMTrainer(
            worker,
            train_loop_config={**settings, "log": log},
            datasets=datasets,
            # Every worker judges by all validation rows, so that all stop at the same round.
            dataset_config=DataConfig(datasets_to_split=["train"]),
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=storage),
        )
        return RayTrainReportCallback.get_model(trainer.fit().checkpoint)


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
