"""Clicks that were drawn from a known truth: for a first run without data, and to judge a model by."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from submarine_ray.ml.auc import StreamingAuc

FIELDS, VALUES = 10, 30
CHUNK = 100_000
TRUTH_SEED = 5


def write(path: str | Path, rows: int, seed: int) -> float:
    """Write a libsvm file of `rows` rows with FIELDS features each; the AUC that the truth itself has on them.

    Labels are drawn from a logistic model over FIELDS * VALUES features: no model can do better, but by luck.
    """
    truth = np.random.default_rng(TRUTH_SEED).normal(0, 0.6, FIELDS * VALUES + 1)
    source = np.random.default_rng(seed)
    auc = StreamingAuc()
    with Path(path).open("w") as file:
        for begin in range(0, rows, CHUNK):
            count = min(CHUNK, rows - begin)
            ids = source.integers(0, VALUES, (count, FIELDS)) + np.arange(FIELDS) * VALUES + 1
            probabilities = 1 / (1 + np.exp(-truth[ids].sum(axis=1)))
            labels = (source.random(count) < probabilities).astype(int)
            auc.add(probabilities, labels)
            row = "{} " + " ".join(["{}:1"] * FIELDS) + "\n"
            file.writelines(row.format(label, *features) for label, features in zip(labels, ids.tolist(), strict=True))
    return auc.value
