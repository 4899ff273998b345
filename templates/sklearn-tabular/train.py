"""A table and a column to predict: a classifier for a few kinds of values, else a regressor."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import matplotlib
import mlflow
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import submarine_ray as submarine

matplotlib.use("Agg")
MAX_CLASSES = 20
SEED = 7
CLASSIFIERS = {
    "random-forest": lambda: RandomForestClassifier(100, random_state=SEED, n_jobs=-1),
    "gradient-boosting": lambda: GradientBoostingClassifier(random_state=SEED),
    "linear": lambda: LogisticRegression(max_iter=5000),
}
REGRESSORS = {
    "random-forest": lambda: RandomForestRegressor(100, random_state=SEED, n_jobs=-1),
    "gradient-boosting": lambda: GradientBoostingRegressor(random_state=SEED),
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

    table = load(options.data)
    if options.target not in table.columns:
        raise SystemExit(f"the table has no column {options.target!r}; it has {', '.join(map(str, table.columns))}")
    table = table.dropna(subset=[options.target])
    features, target = table.drop(columns=[options.target]), table[options.target]
    classes = target.nunique()
    is_classes = not pd.api.types.is_float_dtype(target) and classes <= MAX_CLASSES
    train_x, test_x, train_y, test_y = train_test_split(
        features, target, test_size=options.test_size, random_state=SEED, stratify=target if is_classes else None
    )
    estimator = (CLASSIFIERS if is_classes else REGRESSORS)[options.model]()
    pipeline = make_pipeline(prepare(), estimator).fit(train_x, train_y)

    submarine.log_param("kind", "classification" if is_classes else "regression")
    submarine.log_param("rows", str(len(table)))
    for name, value in measure(pipeline, test_x, test_y, is_classes, classes).items():
        submarine.log_metric(name, value)
        print(f"{name} {value:.4f}", flush=True)
    draw(pipeline, test_x, test_y)
    submarine.save_model("sklearn", pipeline, options.model_name or None, input_example=train_x.head(5))


def load(path: str | None) -> pd.DataFrame:
    if not path:
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer(as_frame=True).frame
    return pd.read_parquet(path) if Path(path).suffix == ".parquet" else pd.read_csv(path)


def prepare() -> object:
    """Numbers are completed and scaled, everything else is one-hot encoded."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    others = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (others, make_column_selector(dtype_exclude="number")),
    )


def measure(model: object, rows: pd.DataFrame, truth: pd.Series, is_classes: bool, classes: int) -> dict[str, float]:
    """On rows that the model has not seen."""
    predicted = model.predict(rows)
    if not is_classes:
        return {"r2": r2_score(truth, predicted), "mean_absolute_error": mean_absolute_error(truth, predicted)}
    found = {"accuracy": accuracy_score(truth, predicted)}
    if classes == 2:
        found["auc"] = roc_auc_score(truth, model.predict_proba(rows)[:, 1])
    return found


def draw(model: object, rows: pd.DataFrame, truth: pd.Series) -> None:
    """What each column is worth: how much worse the model is with its values shuffled."""
    import matplotlib.pyplot as plt

    worth = permutation_importance(model, rows, truth, n_repeats=3, random_state=SEED).importances_mean
    shown = pd.Series(worth, rows.columns).sort_values().tail(20)
    figure, axes = plt.subplots(figsize=(8, 0.3 * len(shown) + 1))
    axes.barh(shown.index.astype(str), shown.values)
    axes.set_xlabel("loss of score when shuffled")
    figure.tight_layout()
    mlflow.MlflowClient().log_figure(os.environ["MLFLOW_RUN_ID"], figure, "feature_importances.png")


if __name__ == "__main__":
    main()
