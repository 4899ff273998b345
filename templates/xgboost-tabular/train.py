"""Gradient boosting with XGBoost, on one worker or on several of Ray Train's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boosting
import pandas as pd
import tabular
import xgboost

import submarine_ray as submarine

TARGET = boosting.TARGET  # a name of this module's own: workers get its functions, not the module of it


def main() -> None:
    parser = boosting.parser()
    parser.add_argument("--max-depth", type=int, default=6)
    options = parser.parse_args()
    task, parts, test_x, test_y = boosting.tables(options)
    settings = boosting.settings(options, parameters(task, options))
    booster = boosting.trained(fit, distributed, parts, settings, options.workers)

    predicted = booster.predict(xgboost.DMatrix(test_x), iteration_range=(0, rounds_used(booster)))
    submarine.log_param("rounds_used", str(rounds_used(booster)))
    for name, value in task.scores(test_y.to_numpy(), predicted).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    gains = pd.Series(booster.get_score(importance_type="gain")).reindex(test_x.columns).fillna(0.0)
    tabular.draw_importances(gains, "gain")
    best = booster[: rounds_used(booster)]
    submarine.save_model("xgboost", best, options.model_name or None, input_example=test_x.head(5))


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


def distributed(parts: dict[str, pd.DataFrame], settings: dict[str, Any], workers: int) -> xgboost.Booster:
    from ray.train.xgboost import RayTrainReportCallback, XGBoostTrainer

    return boosting.distributed(XGBoostTrainer, worker, parts, settings, workers, RayTrainReportCallback.get_model)


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
