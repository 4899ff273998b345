"""One candidate of a search over kinds of models: the sweep tells which, and with what settings."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pandas as pd
import tabular
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from xgboost import XGBClassifier, XGBRegressor

import submarine_ray as submarine

FOLDS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="CSV or Parquet; empty: the breast cancer table")
    parser.add_argument("--target", default="target")
    parser.add_argument("--test-size", type=float, default=0.25)
    parser.add_argument("--learner", type=json.loads, required=True, help="its kind and settings, as JSON")
    options = parser.parse_args()

    task = tabular.load(options.data, options.target)
    coded = tabular.Task(task.features, task.codes, task.classes)
    train_x, test_x, train_y, test_y = coded.split(options.test_size)
    settings = dict(options.learner)
    kind = settings.pop("kind")

    def model() -> Any:
        return make_pipeline(tabular.prepare(), learner(kind, settings, task.classes is not None))

    # Chosen by folds of the training rows, so that the held-out ones judge the winner fairly.
    scores = []
    for fold, (fit, check) in enumerate(coded.folds(train_x, train_y, FOLDS), start=1):
        fitted = model().fit(train_x.iloc[fit], train_y.iloc[fit])
        scores.append(score(coded, fitted, train_x.iloc[check], train_y.iloc[check]))
        submarine.log_metric("fold_score", scores[-1], fold)
    fitted = model().fit(train_x, train_y)
    for name, value in coded.scores(test_y.to_numpy(), answers(coded, fitted, test_x)).items():
        submarine.log_metric(f"test_{name}", value)
    if task.classes:
        submarine.log_param("classes", json.dumps(task.classes, default=str))
    submarine.save_model("sklearn", fitted, input_example=train_x.head(5))
    # Last: a candidate that the budget ends on the way has no score, and cannot win.
    submarine.log_metric("score", sum(scores) / len(scores))
    print(f"{kind} {settings} score {sum(scores) / len(scores):.4f}", flush=True)


def learner(kind: str, settings: dict[str, Any], is_classes: bool) -> Any:
    """An untrained estimator. Ends the script for an unknown kind."""
    seed = {"random_state": tabular.SEED}
    if kind == "linear":
        strength = settings["regularization"]
        return LogisticRegression(C=1 / strength, max_iter=2000) if is_classes else Ridge(strength)
    if kind == "mlp":
        made = MLPClassifier if is_classes else MLPRegressor
        hidden = [settings["width"]] * settings["layers"]
        return made(hidden, learning_rate_init=settings["learning_rate"], max_iter=300, early_stopping=True, **seed)
    kinds = {
        "random-forest": (RandomForestClassifier, RandomForestRegressor, {}),
        "xgboost": (XGBClassifier, XGBRegressor, {"n_jobs": 1}),
        "lightgbm": (LGBMClassifier, LGBMRegressor, {"n_jobs": 1, "verbose": -1}),
    }
    if kind not in kinds:
        raise SystemExit(f"unknown learner {kind!r}; there are linear, mlp, {', '.join(kinds)}")
    classifier, regressor, more = kinds[kind]
    return (classifier if is_classes else regressor)(**settings, **more, **seed)


def answers(task: tabular.Task, model: Any, rows: pd.DataFrame) -> Any:
    return model.predict_proba(rows) if task.classes else model.predict(rows)


def score(task: tabular.Task, model: Any, rows: pd.DataFrame, truth: pd.Series) -> float:
    """What candidates are compared by: auc for two classes, accuracy for more, r2 for numbers."""
    found = task.scores(truth.to_numpy(), answers(task, model, rows))
    return found.get("auc", found.get("accuracy", found.get("r2", 0.0)))


if __name__ == "__main__":
    main()
