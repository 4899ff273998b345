"""A table and a column to predict: read, taken apart, and what a prediction of it is worth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import mlflow
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

matplotlib.use("Agg")
MAX_CLASSES = 20
SEED = 7


@dataclass(frozen=True)
class Task:
    """`classes` are the values of the target, sorted; None where it is a number to predict."""

    features: pd.DataFrame
    target: pd.Series
    classes: list | None

    def split(self, test_size: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
        """(train features, held-out features, train target, held-out target), the same each time."""
        stratify = self.target if self.classes else None
        return train_test_split(self.features, self.target, test_size=test_size, random_state=SEED, stratify=stratify)

    def folds(self, features: pd.DataFrame, target: pd.Series, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows to train on, rows to judge by), `count` times."""
        kind = StratifiedKFold if self.classes else KFold
        return kind(count, shuffle=True, random_state=SEED).split(features, target)

    @property
    def codes(self) -> pd.Series:
        """The target as numbers: a class's position among `classes`."""
        if self.classes is None:
            return self.target.astype(float)
        return self.target.map({value: code for code, value in enumerate(self.classes)}).astype(int)

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """Of held-out codes or numbers; `predicted` are a class's probabilities, or numbers."""
        if self.classes is None:
            return {"r2": r2_score(truth, predicted), "mean_absolute_error": mean_absolute_error(truth, predicted)}
        if len(self.classes) > 2:
            return {"accuracy": accuracy_score(truth, predicted.argmax(axis=1))}
        positive = predicted if predicted.ndim == 1 else predicted[:, 1]
        return {"accuracy": accuracy_score(truth, positive > 0.5), "auc": roc_auc_score(truth, positive)}


def load(path: str | None, target: str) -> Task:
    """A CSV or Parquet table; scikit-learn's breast cancer without a path. Ends the script if it cannot be used."""
    if not path:
        from sklearn.datasets import load_breast_cancer

        table = load_breast_cancer(as_frame=True).frame
    else:
        table = pd.read_parquet(path) if Path(path).suffix == ".parquet" else pd.read_csv(path)
    if target not in table.columns:
        raise SystemExit(f"the table has no column {target!r}; it has {', '.join(map(str, table.columns))}")
    table = table.dropna(subset=[target])
    column = table[target]
    is_classes = not pd.api.types.is_float_dtype(column) and column.nunique() <= MAX_CLASSES
    return Task(table.drop(columns=[target]), column, sorted(column.unique().tolist()) if is_classes else None)


def numbers_only(task: Task) -> Task:
    """The same with truth values as 0 and 1, for models that know nothing else. Ends the script for text."""
    features = task.features.copy()
    for name in features.columns:
        if pd.api.types.is_bool_dtype(features[name]):
            features[name] = features[name].astype(int)
        elif not pd.api.types.is_numeric_dtype(features[name]):
            raise SystemExit(
                f"the column {name!r} is no number; encode it, leave it out, or use sklearn-tabular or automl-tabular"
            )
    return Task(features.astype(float), task.target, task.classes)


def prepare() -> object:
    """Numbers are completed and scaled, everything else is one-hot encoded."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    others = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (others, make_column_selector(dtype_exclude="number")),
    )


def draw_importances(worth: pd.Series, label: str) -> None:
    """The most important features, as the experiment's feature_importances.png."""
    from matplotlib.figure import Figure

    shown = worth.sort_values().tail(20)
    figure = Figure(figsize=(8, 0.3 * len(shown) + 1), layout="constrained")
    axes = figure.subplots()
    axes.barh(shown.index.astype(str), shown.values)
    axes.set_xlabel(label)
    mlflow.MlflowClient().log_figure(os.environ["MLFLOW_RUN_ID"], figure, "feature_importances.png")
