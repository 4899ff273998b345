"""Images to train on: MNIST's IDX files from a directory, else scikit-learn's bundled digits."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np


def load(directory: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Images as float32 rows in 0..1, labels as int64."""
    if not directory:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return (digits.data / 16.0).astype(np.float32), digits.target.astype(np.int64)
    images = _idx(next(iter(sorted(Path(directory).glob("*images-idx3-ubyte*"), reverse=True))))
    labels = _idx(next(iter(sorted(Path(directory).glob("*labels-idx1-ubyte*"), reverse=True))))
    return (images.reshape(len(images), -1) / 255.0).astype(np.float32), labels.astype(np.int64)


def split(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """A fifth is held out, the same on every rank."""
    order = np.random.default_rng(7).permutation(len(images))
    held_out, train = order[: len(images) // 5], order[len(images) // 5 :]
    return images[train], labels[train], images[held_out], labels[held_out]


def keep_holdout(images: np.ndarray, labels: np.ndarray, count: int = 50) -> None:
    """Store some held-out images with the experiment, to ask the served model with."""
    import mlflow

    document = {"images": images[:count].round(4).tolist(), "labels": labels[:count].tolist()}
    Path("holdout.json").write_text(json.dumps(document))
    mlflow.MlflowClient().log_artifact(os.environ["MLFLOW_RUN_ID"], "holdout.json")


def _idx(path: Path) -> np.ndarray:
    """An IDX file, gzipped or not: two zero bytes, type, rank, sizes, values."""
    opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        content = file.read()
    rank = content[3]
    sizes = np.frombuffer(content, ">i4", rank, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)
