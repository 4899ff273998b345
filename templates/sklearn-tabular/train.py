"""A table and a column to predict: a classifier for a few kinds of values, else a regressor."""

from __future__ import annotations

import argparse

import pandas as pd
import tabular
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline

import submarine_ray as submarine

CLASSIFIERS = {
    "random-forest": lambda: RandomForestClassifier(100, random_state=tabular.SEED, n_jobs=-1),
    "gradient-boosting": lambda: GradientBoostingClassifier(random_state=tabular.SEED),
    "linear": lambda: LogisticRegression(max_iter=5000),
}
REGRESSORS = {
    "random-forest": lambda: RandomForestRegressor(100, random_state=tabular.SEED, n_jobs=-1),
    "gradient-boosting": lambda: GradientBoostingRegressor(random_state=tabular.SEED),
    "linear": Ridge,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="CSV or Parquet; empty: the breast cancer table")
    parser.add_argument("--target", default="target")
    parser.add_argument("--model", choices=CLASSIFIERS, default="random-forest")
    parser.add_argument("--test-size", type=float, default=0.25)
    parser.add_argument("--model-name")
    options = parser.parse_args()

    task = tabular.load(options.data, options.target)
    train_x, test_x, train_y, test_y = task.split(options.test_size)
    estimator = (CLASSIFIERS if task.classes else REGRESSORS)[options.model]()
    pipeline = make_pipeline(tabular.prepare(), estimator).fit(train_x, train_y)

    submarine.log_param("kind", "classification" if task.classes else "regression")
    submarine.log_param("rows", str(len(task.target)))
    for name, value in measure(pipeline, test_x, test_y, task.classes).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    # What each column is worth: how much worse the model is with its values shuffled.
    worth = permutation_importance(pipeline, test_x, test_y, n_repeats=3, random_state=tabular.SEED).importances_mean
    tabular.draw_importances(pd.Series(worth, test_x.columns), "loss of score when shuffled")
    submarine.save_model("sklearn", pipeline, options.model_name or None, input_example=train_x.head(5))


def measure(model: object, rows: pd.DataFrame, truth: pd.Series, classes: list | None) -> dict[str, float]:
    """On rows that the model has not seen."""
    predicted = model.predict(rows)
    if classes is None:
        return {"r2": r2_score(truth, predicted), "mean_absolute_error": mean_absolute_error(truth, predicted)}
    found = {"accuracy": accuracy_score(truth, predicted)}
    if len(classes) == 2:
        found["auc"] = roc_auc_score(truth, model.predict_proba(rows)[:, 1])
    return found


if __name__ == "__main__":
    main()
