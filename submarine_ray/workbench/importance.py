"""How much each parameter of a sweep matters to its metric.

Two measures, because each tells what the other does not. Importance is Optuna's PED-ANOVA: how far the values of the
best of the trials differ from those of all. Correlation is Spearman's: whether high values go with high values
of the metric. Optuna is imported when a page asks for the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from submarine_ray.spec.answers.experiments import Trial

LEAST = 4  # trials, below which the best of them tell nothing
# Of trials, which count as the best. Optuna's 0.1 are too few of a small sweep: of 60 sweeps of 24 trials it finds the
# parameter that decides in 40, this in 55; of 100 trials both find it always.
BEST = 0.3
_SPREAD = 100  # between the largest and the smallest value of a parameter that is compared by its logarithm


@dataclass(frozen=True)
class Weights:
    """Both measures by parameter, the most important one first; `correlation` has those whose values are numbers."""

    importance: Mapping[str, float]
    """From 0 to 1; together 1."""
    correlation: Mapping[str, float]
    """From -1 to 1."""
    is_optuna: bool
    """Whether the importance is Optuna's; without Optuna it is the size of the correlation."""


def weigh(scored: Sequence[Trial], metric: str, mode: str) -> Weights | None:
    """The weights of the parameters that differ among trials, each of which has a finite value of the metric; None if
    there are too few trials, or no parameter differs.
    """
    common = set.intersection(*(set(trial.params) for trial in scored)) if scored else set()
    values = {name: _comparable([trial.params[name] for trial in scored]) for name in sorted(common)}
    values = {name: found for name, found in values.items() if len(set(found)) > 1}
    if len(scored) < LEAST or not values:
        return None
    scores = [float(trial.metrics[metric]) for trial in scored]
    ranks = _ranks(scores)
    correlation = {name: _correlation(_ranks(found), ranks) for name, found in values.items() if _is_numeric(found)}
    by_optuna = _by_optuna(values, scores, mode)
    importance = by_optuna or _shares({name: abs(value) for name, value in correlation.items()})
    return Weights(dict(sorted(importance.items(), key=lambda item: -item[1])), correlation, by_optuna is not None)


def _by_optuna(values: Mapping[str, Sequence[Any]], scores: Sequence[float], mode: str) -> dict[str, float] | None:
    """None without Optuna."""
    try:
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
        from optuna.trial import create_trial
    except ImportError:
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(found) for name, found in values.items()}
    study = optuna.create_study(direction="minimize" if mode == "min" else "maximize")
    study.add_trials(
        [
            create_trial(params={name: values[name][at] for name in values}, distributions=distributions, value=score)
            for at, score in enumerate(scores)
        ]
    )
    return _shares(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST)))


def _distribution(found: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not _is_numeric(found):
        return CategoricalDistribution(sorted(set(found)))
    low, high = float(min(found)), float(max(found))
    return FloatDistribution(low, high, log=low > 0 and high / low > _SPREAD)


def _shares(found: Mapping[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {name: value / total if total else 0.0 for name, value in found.items()}


def _comparable(values: Sequence[object]) -> list[float] | list[str]:
    """Numbers, if all are some; else texts."""
    numbers = [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
    return numbers if len(numbers) == len(values) else [str(one) for one in values]


def _is_numeric(found: Sequence[float | str]) -> bool:
    return isinstance(found[0], float)


def _ranks(values: Sequence[Any]) -> list[float]:
    """Each value's rank; equal ones share the mean of theirs."""
    ranks: dict[object, float] = {}
    before = 0
    for key, number in sorted(Counter(values).items()):
        ranks[key] = before + (number - 1) / 2
        before += number
    return [ranks[key] for key in values]


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    a, b = sum(one) / len(one), sum(other) / len(other)
    spread = sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)
    return sum((x - a) * (y - b) for x, y in zip(one, other, strict=True)) / spread**0.5 if spread else 0.0
