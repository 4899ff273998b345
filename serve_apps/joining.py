"""When requests that wait together may be one call of the model: only where no answer is changed by it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

log = logging.getLogger("ray.serve")

# What one kernel for many rows may differ in from another for one; what depends on other rows differs by far more.
_TOLERANCE = {"float16": 2e-2, "float32": 5e-3, "float64": 1e-6}
# And what the same kernel may differ in from itself, for as many rows of which others have changed.
_SAME_KERNEL = {"float16": 1e-3, "float32": 1e-5, "float64": 1e-10}


def split(whole: Any, sizes: list[int]) -> list[Any] | None:
    """Each request's rows of an answer to all of them; None if it is not an array of as many rows."""
    if not isinstance(whole, np.ndarray) or whole.ndim == 0 or len(whole) != sum(sizes):
        return None
    return list(np.split(whole, np.cumsum(sizes)[:-1]))


def answers_by_row(
    predict: Callable[[Any, None], Any], dtype: np.dtype[Any], shape: tuple[int, ...], seed: int = 0
) -> bool:
    """Whether the model answers a few made-up requests together as it answers each alone.

    A sum over the batch, a mean of it that is taken away, or a dict do not pass; a model that cannot answer them at
    all (an index beyond its table) is not joined either.
    """
    if not shape or shape[0] != -1:
        return False
    random = np.random.default_rng(seed)
    requests = [_made(random, dtype, (rows, *(2 if size == -1 else size for size in shape[1:]))) for rows in (1, 2, 1)]
    try:
        together = split(predict(np.concatenate(requests), None), [len(one) for one in requests])
        if together is None:
            return False
        alone = [predict(one, None) for one in requests]
        others = [requests[0], *(_made(random, dtype, one.shape) for one in requests[1:])]
        beside_others = split(predict(np.concatenate(others), None), [len(one) for one in others])
    except BaseException as failure:  # noqa: BLE001 (a model is users' code)
        log.info("Requests are not joined: the model cannot answer made-up rows (%s)", type(failure).__name__)
        return False
    if beside_others is None or not _same(together[0], beside_others[0], _SAME_KERNEL):
        return False  # quantized anew for each batch, or a mean that weighs little
    return all(_same(one, other, _TOLERANCE) for one, other in zip(together, alone, strict=True))


def _made(random: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Rows that differ. Whole numbers are 0 and 1, which are in every table."""
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype)
    return random.integers(0, 2, size=shape).astype(dtype)


def _same(one: np.ndarray[Any, Any], other: Any, tolerances: Mapping[str, float]) -> bool:
    if not isinstance(other, np.ndarray) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fc":
        return bool((one == other).all())
    tolerance = tolerances.get(one.dtype.name, 1e-6)
    size = float(np.nanmax(np.abs(other), initial=0.0)) if np.isfinite(other).all() else 0.0
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * size, equal_nan=True))
