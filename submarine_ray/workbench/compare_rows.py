"""The rows of a comparison: what has which value, and which of them is the best."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from submarine_ray.spec.answers.provenance import Provenance
from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench import parts
from submarine_ray.workbench.compared import Compared
from submarine_ray.workbench.written import written

Rows = dict[str, list[str]]
Mode = Literal["min", "max"]
METRICS, PACKAGES = "Metrics", "Packages"
# What has rows of its own. The commit of a package is told with that of a clone.
_ABOUT = ("meta.name", "meta.framework", "meta.cmd")
_SOURCE = "code.source."
_LESS_IS_BETTER = frozenset(
    {"loss", "logloss", "mlogloss", "error", "err", "rmse", "mse", "mae", "mape", "rmsle", "deviance",
     "perplexity", "ppl", "wer", "cer", "fid", "regret", "latency"}
)  # fmt: skip
_MORE_IS_BETTER = frozenset(
    {"acc", "accuracy", "auc", "auroc", "f1", "r2", "precision", "recall", "score", "reward", "return", "iou",
     "map", "ap", "bleu", "rouge", "ndcg", "throughput"}
)  # fmt: skip


def sections(found: Sequence[Compared]) -> dict[str, Rows]:
    """The table's rows by section: a parameter and a metric may have one name, and so may a row of ours."""
    about = {
        "Framework": [one.spec.meta.framework for one in found],
        "Command": [one.spec.meta.cmd or "" for one in found],
    }
    return {
        "About": about,
        "Parameters": by_key([one.params for one in found]),
        METRICS: by_key([{key: value for key, value in one.latest.items() if not is_system(key)} for one in found]),
        "Code, environment and resources": _ran_with(found) | by_key([_settings(one) for one in found]),
        PACKAGES: by_key([(one.provenance and one.provenance.packages) or {} for one in found]),
    }


def _ran_with(found: Sequence[Compared]) -> Rows:
    """The commit and the Python of each, if any of them has told."""
    told = [_told(one.provenance) for one in found]
    return {label: [one.get(label, "") for one in told] for label in _told_labels(told)}


def _told_labels(told: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(label for one in told for label, value in one.items() if value))


def _told(ran: Provenance | None) -> dict[str, str]:
    if ran is None:
        return {}
    dirty = {True: "yes", False: "no", None: ""}
    git = {
        "Commit": ran.git.commit[:12],
        "Uncommitted changes": dirty[ran.git.dirty],
        "Branch": ran.git.branch or "",
        "Repository": ran.git.repository or "",
    } if ran.git else {}  # fmt: skip
    return git | {"Python": ran.python or "", "Platform": ran.platform or ""}


def _settings(one: Compared) -> dict[str, str]:
    found = flat(written(one.spec))
    return {path: value for path, value in found.items() if path not in _ABOUT and not path.startswith(_SOURCE)}


def flat(document: JsonObject, above: str = "") -> dict[str, str]:
    """A document's values by their paths, such as `spec.Worker.replicas`."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = _plain(value)
    return found


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def by_key(found: Sequence[Mapping[str, object]]) -> Rows:
    """What each has by its keys, in their order."""
    keys = sorted({key for one in found for key in one})
    return {key: [_said(one.get(key)) for one in found] for key in keys}


def _said(value: object) -> str:
    return "" if value is None else str(parts.short(value))


def mode_of(metric: str, found: Sequence[Compared]) -> Mode | None:
    """Whether less or more of a metric is better: as a sweep says, or else its name; None if neither tells."""
    for one in found:
        if one.spec.tune and one.spec.tune.metric == metric:
            return "min" if one.spec.tune.mode == "min" else "max"
    for word in reversed(re.split(r"[^a-z0-9]+", metric.lower())):
        if word in _LESS_IS_BETTER:
            return "min"
        if word in _MORE_IS_BETTER:
            return "max"
    return None


def best(metric: str, found: Sequence[Compared]) -> set[int]:
    """The places of the best values of a metric; none where it has one value only, or nobody knows what is better."""
    return winners(
        {n: one.latest[metric] for n, one in enumerate(found) if metric in one.latest}, mode_of(metric, found)
    )


def winners(values: Mapping[int, float], mode: Mode | None) -> set[int]:
    """The places of the best of some values; none if they are all alike, or nobody knows what is better."""
    values = {place: value for place, value in values.items() if is_finite(value)}
    if mode is None or len(set(values.values())) < 2:
        return set()
    winner = min(values.values()) if mode == "min" else max(values.values())
    return {place for place, value in values.items() if value == winner}


def differing(rows: Rows) -> Rows:
    """The rows whose values are not all the same."""
    return {label: values for label, values in rows.items() if len(set(values)) > 1}
