"""The panels that a board begins with: those that its runs have something for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from submarine_ray.spec.expressions import number
from submarine_ray.spec.panels import LinePanel, Panel, ParallelPanel
from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench.services import Services

FIRST = 6  # charts of metrics
AXES = 5  # of parallel coordinates, but the last
WIDE = 30  # times the lowest: from there on an axis is logarithmic, as for learning rates
_QUALITY = re.compile("loss|acc|score|auc|f1|error|reward|perplexity|rmse", re.IGNORECASE)


def panels_for(services: Services, runs: Collection[str]) -> list[Panel]:
    """A line panel for each of the metrics that most runs have, and how their parameters lead to the first of them."""
    metrics = Counter(one.key for one in services.tracking.latest(runs))
    params = {(name, value) for _, name, value in services.tracking.logged_params(runs)}
    return chosen(metrics, params)


def chosen(metrics: Counter[str], params: Collection[tuple[str, str]]) -> list[Panel]:
    """By how many runs have each metric, and which values each parameter has."""

    def rank(key: str) -> tuple[bool, int, bool, str]:
        return is_system(key), -metrics[key], _QUALITY.search(key) is None, key

    keys = sorted(metrics, key=rank)[:FIRST]
    panels: list[Panel] = [LinePanel(id=f"m{place}", metrics=[key]) for place, key in enumerate(keys, 1)]
    differing = _differing(params)
    if keys and differing:
        fields = [*(f"params.{name}" for name in differing[:AXES]), f"metrics.{keys[0]}"]
        log = [f"params.{name}" for name in differing[:AXES] if _is_wide({v for n, v in params if n == name})]
        panels.append(ParallelPanel(id="parallel", fields=fields, log=log, width=12))
    return panels


def _differing(params: Collection[tuple[str, str]]) -> Sequence[str]:
    """The parameters that have several values."""
    values = Counter(name for name, _ in set(params))
    return sorted(name for name, count in values.items() if count > 1)


def _is_wide(values: Collection[str]) -> bool:
    numbers = [found for value in values if (found := number(value)) is not None]
    return len(numbers) == len(values) and min(numbers) > 0 and max(numbers) / min(numbers) > WIDE
