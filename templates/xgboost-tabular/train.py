"""Gradient boosting with XGBoost, on one worker or on several of Ray Train's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import tabular
import xgboost

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
    parser.add_argument("--max-depth", type=int, default=6)
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

    predicted = booster.predict(xgboost.DMatrix(test_x), iteration_range=(0, rounds_used(booster)))
    submarine.log_param("rounds_used", str(rounds_used(booster)))
    for name, value in task.scores(test_y.to_numpy(), predicted).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    gains = pd.Series(booster.get_score(importance_type="gain")).reindex(train_x.columns).fillna(0.0)
    tabular.draw_importances(gains, "gain")
    best = booster[: rounds_used(booster)]
    submarine.save_model("xgboost", best, options.model_name or None, input_example=train_x.head(5))


def parameters(task: tabular.Task, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"objective": "reg:squarederror", "eval_metric": ["rmse"]}
    if task.classes and len(task.classes) == 2:
        found = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"]}
    elif task.classes:
        found = {"objective": "multi:softprob", "num_class": len(task.classes), "eval_metric": ["mlogloss"]}
    own = {"eta": options.learning_rate, "max_depth": options.max_depth, "subsample": options.subsample}
    return {**found, **own, "tree_method": "hist", "seed": tabular.SEED}


class Report(xgboost.callback.TrainingCallback):
    """Passes on what the validation rows say, every few rounds."""

    def __init__(self, log: Callable[[dict[str, float], int], Any], every: int) -> None:
        super().__init__()
        self._log = log
        self._every = every

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        if (epoch + 1) % self._every == 0:
            values = {f"validation_{name}": history[-1] for name, history in evals_log["validation"].items()}
            self._log(values, epoch + 1)
        return False


def fit(train: pd.DataFrame, valid: pd.DataFrame, settings: dict[str, Any], log: Callable[..., Any]) -> xgboost.Booster:
    """On the rows of one worker; the workers' collective sums over all of them."""
    matrices = [xgboost.DMatrix(rows.drop(columns=[TARGET]), rows[TARGET]) for rows in (train, valid)]
    return xgboost.train(
        settings["params"],
        matrices[0],
        settings["rounds"],
        evals=[(matrices[1], "validation")],
        early_stopping_rounds=settings["early_stopping"],
        callbacks=[Report(log, settings["every"])],
        verbose_eval=False,
    )


def alone(tables: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> xgboost.Booster:
    def log(metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            submarine.log_metric(name, value, step)

    return fit(tables["train"], tables["validation"], settings, log)


def distributed(tables: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> xgboost.Booster:
    import ray
    import ray.data
    from ray.train import DataConfig, RunConfig, ScalingConfig
    from ray.train.xgboost import RayTrainReportCallback, XGBoostTrainer

    ray.init(log_to_driver=False, logging_level="WARNING")
    datasets = {name: ray.data.from_pandas(rows) for name, rows in tables.items()}
    with submarine.remote_log() as log, tempfile.TemporaryDirectory() as storage:
        trainer = XGBoostTrainer(
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
    from ray.train.xgboost import RayTrainReportCallback

    is_first = ray.train.get_context().get_world_rank() == 0
    log = settings["log"] if is_first else lambda *_: None  # all judge by the same rows
    parts = [ray.train.get_dataset_shard(name).materialize().to_pandas() for name in ("train", "validation")]
    booster = fit(*parts, settings, log)
    with tempfile.TemporaryDirectory() as directory:
        booster.save_model(str(Path(directory, RayTrainReportCallback.CHECKPOINT_NAME)))
        checkpoint = ray.train.Checkpoint.from_directory(directory) if is_first else None
        ray.train.report({}, checkpoint=checkpoint)


def rounds_used(booster: xgboost.Booster) -> int:
    """Up to the best round, where the training stopped early."""
    best = booster.attr("best_iteration")
    return int(best) + 1 if best is not None else booster.num_boosted_rounds()


if __name__ == "__main__":
    main()
