"""The area under the ROC curve of any number of rows, in the memory of two histograms."""

from __future__ import annotations

import numpy as np

BINS = 1 << 20  # finer than float32's probabilities matter: the error is below one in a million


class StreamingAuc:
    """Add probabilities and labels as they come; `value` is their area so far."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), dtype=np.int64)

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
        for label in (0, 1):
            self._counts[label] += np.bincount(bins[labels == label], minlength=BINS)

    @property
    def value(self) -> float:
        """NaN where all rows have one label: there is nothing to tell apart."""
        negative, positive = self._counts
        pairs = float(negative.sum()) * float(positive.sum())
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float((positive * (below + 0.5 * negative)).sum() / pairs)
