"""What the templates for gradient boosting share: options, tables, and the training on several workers."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import tabular

import submarine_ray as submarine

TARGET = "__target__"
REPORTS = 20  # so many points has a curve, however many rounds


class Tables(NamedTuple):
    """The rows to train with; what stops the training early (`validation`) must not be what the model is judged by."""

    task: tabular.Task
    parts: dict[str, pd.DataFrame]
    test_x: pd.DataFrame
    test_y: pd.Series


def parser() -> argparse.ArgumentParser:
    """The options that both learners have."""
    made = argparse.ArgumentParser()
    made.add_argument("--data", help="CSV or Parquet; empty: the breast cancer table")
    made.add_argument("--target", default="target")
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--rounds", type=int, default=200)
    made.add_argument("--early-stopping", type=int, default=20, help="rounds without progress; 0: never")
    made.add_argument("--learning-rate", type=float, default=0.1)
    made.add_argument("--subsample", type=float, default=1.0)
    made.add_argument("--test-size", type=float, default=0.25)
    made.add_argument("--model-name")
    return made


def tables(options: argparse.Namespace) -> Tables:
    """The user's table, split into rows for training, validation and test."""
    task = tabular.numbers_only(tabular.load(options.data, options.target))
    task = tabular.Task(task.features, task.codes, task.classes)
    rest_x, test_x, rest_y, test_y = task.split(options.test_size)
    train_x, valid_x, train_y, valid_y = tabular.Task(rest_x, rest_y, task.classes).split(0.2)
    parts = {"train": train_x.assign(**{TARGET: train_y}), "validation": valid_x.assign(**{TARGET: valid_y})}
    return Tables(task, parts, test_x, test_y)


def settings(options: argparse.Namespace, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a worker is given; `parameters` are the learner's own."""
    return {
        "params": parameters,
        "rounds": options.rounds,
        "early_stopping": options.early_stopping or None,
        "every": max(1, options.rounds // REPORTS),
    }


def trained(
    fit: Callable[..., Any],
    distributed: Callable[..., Any],
    parts: dict[str, pd.DataFrame],
    settings: dict[str, Any],
    workers: int,
) -> Any:
    """The learner's model: of `fit` in this process, or of `distributed` on several workers."""
    if workers > 1:
        return distributed(parts, settings, workers)
    return fit(parts["train"], parts["validation"], settings, _log)


def _log(metrics: dict[str, float], step: int) -> None:
    for name, value in metrics.items():
        submarine.log_metric(name, value, step)


def distributed(
    trainer: Callable[..., Any],
    worker: Callable[[dict[str, Any]], None],
    parts: dict[str, pd.DataFrame],
    settings: dict[str, Any],
    workers: int,
    read: Callable[[Any], Any],
) -> Any:
    """What `read` makes of the checkpoint that `worker` reports, run by one of Ray Train's trainers."""
    import ray
    import ray.data
    from ray.train import DataConfig, RunConfig, ScalingConfig

    ray.init(log_to_driver=False, logging_level="WARNING")
    datasets = {name: ray.data.from_pandas(rows) for name, rows in parts.items()}
    with submarine.remote_log() as remote, tempfile.TemporaryDirectory() as storage:
        run = trainer(
            worker,
            train_loop_config={**settings, "log": remote},
            datasets=datasets,
            # Every worker judges by all validation rows, so that all stop at the same round.
            dataset_config=DataConfig(datasets_to_split=["train"]),
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=storage),
        )
        return read(run.fit().checkpoint)
