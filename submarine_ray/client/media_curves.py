"""Tables of how well a classifier does: a confusion matrix, ROC curves, precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from submarine_ray.client.media_arrays import array
from submarine_ray.spec.json_types import JsonObject

MAX_CLASSES = 100
MAX_POINTS = 500  # of a curve


def confusion(actual: Any, predicted: Any, labels: Sequence[str] | None) -> JsonObject:
    """How often each class was taken for which. Raises TypeError, ValueError."""
    import numpy as np

    scores = _scores(predicted)
    names = _names([actual] if scores is not None else [actual, predicted], labels)
    truth = _classes(actual, names, "actual")
    said = scores.argmax(axis=1) if scores is not None else _classes(predicted, names, "predicted")
    _check_lengths(truth, said)
    if scores is not None and scores.shape[1] != len(names):
        names = _stretched(names, scores.shape[1], labels)
    counts = np.bincount(truth * len(names) + said, minlength=len(names) ** 2)
    rows: list[Any] = [[names[n // len(names)], names[n % len(names)], int(count)] for n, count in enumerate(counts)]
    return {"columns": ["actual", "predicted", "count"], "data": rows}


def roc(actual: Any, scores: Any, labels: Sequence[str] | None) -> JsonObject:
    """The rates of each class. Raises TypeError, ValueError."""
    import numpy as np

    rows: list[Any] = []
    for name, is_class, score in _per_class(actual, scores, labels):
        hits, falls, thresholds = _counted(is_class, score)
        true_rate = np.concatenate([[0.0], hits / hits[-1]])
        false_rate = np.concatenate([[0.0], falls / falls[-1]])
        for at in _kept(false_rate, true_rate):
            limit = float(f"{thresholds[at - 1]:.7g}") if at else None
            rows.append([name, _short(false_rate[at]), _short(true_rate[at]), limit])
    return {"columns": ["class", "fpr", "tpr", "threshold"], "data": rows}


def precision_recall(actual: Any, scores: Any, labels: Sequence[str] | None) -> JsonObject:
    """Precision and recall of each class. Raises TypeError, ValueError."""
    rows: list[Any] = []
    for name, is_class, score in _per_class(actual, scores, labels):
        hits, falls, thresholds = _counted(is_class, score)
        precision, recall = hits / (hits + falls), hits / hits[-1]
        rows.append([name, 0.0, _short(precision[0]), None])
        rows += [
            [name, _short(recall[at]), _short(precision[at]), float(f"{thresholds[at]:.7g}")]
            for at in _kept(recall, precision)
        ]
    return {"columns": ["class", "recall", "precision", "threshold"], "data": rows}


def _short(value: Any) -> float:
    return float(f"{value:.6g}")


def _scores(value: Any) -> Any:
    """Scores, a column a class; None for what is a class an example."""
    try:
        found = array(value)
    except TypeError:  # names
        return None
    return found if found.ndim == 2 and found.shape[1] > 1 else None


def _names(values: Sequence[Any], labels: Sequence[str] | None) -> list[str]:
    """The names of the classes: those given, or what stands in the values, numbers in their order."""
    import numpy as np

    if labels is not None:
        names = [str(label) for label in labels]
        if len(set(names)) < len(names):
            raise ValueError("two of the labels are the same")
    else:
        found = [np.asarray(one.cpu() if hasattr(one, "cpu") else one).ravel() for one in values]
        every = np.concatenate([one if one.dtype.kind in "biu" else one.astype(str) for one in found])
        if every.dtype.kind in "biu":
            if every.size and every.min() < 0:
                raise ValueError("a class has a number below 0")
            top = int(every.max()) if every.size else 0
            names = list(map(str, range(min(top, MAX_CLASSES) + 1)))
        else:
            names = sorted(set(every.tolist()))
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f"it has more than {MAX_CLASSES} classes" if names else "it has no classes")
    return names


def _stretched(names: list[str], count: int, labels: Sequence[str] | None) -> list[str]:
    if labels is not None or count < len(names) or count > MAX_CLASSES:
        raise ValueError(f"there are scores of {count} classes, and {len(names)} classes")
    return list(map(str, range(count)))


def _classes(value: Any, names: list[str], what: str) -> Any:
    """The number of each example's class."""
    import numpy as np

    found = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value).ravel()
    if found.size == 0:
        raise ValueError(f"{what} is empty")
    if found.dtype.kind == "f" and (found == np.round(found)).all():
        found = found.astype(np.int64)
    if found.dtype.kind in "biu":
        if found.min() < 0 or found.max() >= len(names):
            raise ValueError(f"{what} has the class {found.max()}, and there are {len(names)} classes from 0 on")
        return found.astype(np.int64)
    place = {name: number for number, name in enumerate(names)}
    try:
        return np.array([place[str(one)] for one in found.tolist()], dtype=np.int64)
    except KeyError as failure:
        raise ValueError(f"{what} has the class {failure}, which is not among the labels") from failure


def _check_lengths(first: Any, second: Any) -> None:
    if len(first) != len(second):
        raise ValueError(f"there are {len(first)} true classes for {len(second)} predictions")


def _per_class(actual: Any, scores: Any, labels: Sequence[str] | None) -> list[tuple[str, Any, Any]]:
    """(name, whether each example is of the class, its score) of each class that has both kinds of examples."""
    import numpy as np

    found = array(scores)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim > 2:
        raise ValueError("scores are a row, or examples × classes")
    if not np.isfinite(found).all():
        raise ValueError("its scores have NaN or infinite values")
    names = _names([actual], labels)
    truth = _classes(actual, names, "actual")
    _check_lengths(truth, found)
    if found.ndim == 1:
        if len(names) > 2:
            raise ValueError(f"there are {len(names)} classes; give scores of each, a column each")
        wanted = [(names[-1] if len(names) == 2 else "1", truth == 1, found)]
    else:
        if found.shape[1] != len(names):
            names = _stretched(names, found.shape[1], labels)
        wanted = [(name, truth == number, found[:, number]) for number, name in enumerate(names)]
    usable = [one for one in wanted if 0 < int(one[1].sum()) < len(truth)]
    if not usable:
        raise ValueError("no class has both examples that are of it and examples that are not")
    return usable


def _counted(is_class: Any, score: Any) -> tuple[Any, Any, Any]:
    """At each threshold, from the highest: how many of the class are above it, and how many others."""
    import numpy as np

    order = np.argsort(-score.astype(np.float64), kind="stable")
    ranked, hit = score[order].astype(np.float64), is_class[order]
    last = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)  # equal scores are one threshold
    hits = np.cumsum(hit)[last]
    return hits, last + 1 - hits, ranked[last]


def _kept(x: Any, y: Any) -> list[int]:
    """The points of a curve that its drawing needs, MAX_POINTS at most: no inner ones of a straight line."""
    import numpy as np

    count = len(x)
    turns = np.ones(count, dtype=bool)
    if count > 2:
        turns[1:-1] = ((x[1:-1] - x[:-2]) * (y[2:] - y[1:-1])) != ((y[1:-1] - y[:-2]) * (x[2:] - x[1:-1]))
    places = np.nonzero(turns)[0]
    if len(places) > MAX_POINTS:
        places = places[np.unique(np.linspace(0, len(places) - 1, MAX_POINTS).round().astype(int))]
    return [int(place) for place in places]
