"""The rows of a comparison of a model's versions, from what is known of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from submarine_ray.spec.answers.models import ModelFiles, ModelSignature, ModelVersion, ModelVersionDetails
from submarine_ray.workbench import parts
from submarine_ray.workbench.compare_rows import METRICS, Rows, by_key, differing, mode_of, winners
from submarine_ray.workbench.try_it import describe

MOST_COLUMNS = 30  # of a signature, one by one; there may be thousands
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Compared:
    """A version and what is known of it. `served`: in which state its endpoint is."""

    version: ModelVersion
    details: ModelVersionDetails | None
    signature: ModelSignature | None
    served: str = ""


def sections(found: Sequence[Compared]) -> dict[str, Rows]:
    """The rows by section; sections without rows are left out."""
    rows = {
        "About": _about(found),
        METRICS: by_key([one.details.metrics if one.details else {} for one in found]),
        "Parameters": by_key([one.details.params if one.details else {} for one in found]),
        "Signature": _signatures(found),
        "Files": _files([one.details.files if one.details else None for one in found]),
        "Packages": differing(by_key([_packages(one.details) for one in found])),
    }
    return {title: section for title, section in rows.items() if section}


def best(metric: str, found: Sequence[Compared]) -> set[int]:
    """The places of a metric's best values; none if they are all alike, or its name does not say what is better."""
    values = {
        place: value
        for place, one in enumerate(found)
        if one.details and isinstance(value := one.details.metrics.get(metric), float)
    }
    return winners(values, mode_of(metric, []))


def size(count: int | None) -> str:
    """Bytes as people read them."""
    if count is None:
        return ""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def moment(time: str | None) -> str | None:
    """A time of Submarine's form, which is in UTC, as browsers read it."""
    return time and f"{time.replace(' ', 'T')}Z"


def _about(found: Sequence[Compared]) -> Rows:
    rows = {
        "Stage": [one.version.current_stage for one in found],
        "Aliases": [", ".join(one.version.aliases) for one in found],
        "Served": [one.served or "no" for one in found],
        "Created (UTC)": [one.version.creation_time or "" for one in found],
        "Registered by": [one.version.user_id for one in found],
        "Experiment": [one.version.experiment_id or "" for one in found],
        "Dataset": [one.version.dataset or "" for one in found],
        "Tags": [", ".join(one.version.tags) for one in found],
    }
    return {label: values for label, values in rows.items() if any(values)}


def _signatures(found: Sequence[Compared]) -> Rows:
    """How many columns each has, and those that differ; all of them where there are few."""
    rows: Rows = {}
    if not any(one.signature for one in found):
        return rows
    for side in ("inputs", "outputs"):
        columns = [{column.name or "(unnamed)": column for column in getattr(one.signature, side, ())} for one in found]
        rows[side.capitalize()] = [
            parts.counted(len(each), "column") if one.signature else "unknown"
            for one, each in zip(found, columns, strict=True)
        ]
        each = {
            f"{side[:-1]} {name}": [describe([one[name]]) if name in one else "" for one in columns]
            for name in dict.fromkeys(name for one in columns for name in one)
        }
        rows |= _few(each if len(each) <= MOST_COLUMNS else differing(each))
    return rows


def _few(rows: Rows) -> Rows:
    left = len(rows) - MOST_COLUMNS
    shown = dict(list(rows.items())[:MOST_COLUMNS])
    if left > 0:
        shown[f"and {left:,} more that differ"] = [""] * len(next(iter(rows.values())))
    return shown


def _files(found: Sequence[ModelFiles | None]) -> Rows:
    if not any(found):
        return {}
    return {
        "Size": [size(one.size_bytes) if one else "" for one in found],
        "Flavors": [", ".join(one.flavors) if one else "" for one in found],
        "MLflow": [(one.mlflow_version if one else None) or "" for one in found],
        "Python": [(one.python_version if one else None) or "" for one in found],
    }


def _packages(details: ModelVersionDetails | None) -> dict[str, str]:
    """What each package is required to be, by its name."""
    lines = details.files.requirements if details and details.files else []
    return dict(_package(line) for line in lines)


def _package(line: str) -> tuple[str, str]:
    name = line
    for separator in ("=", "<", ">", "~", "!", " ", ";", "@"):
        name = name.partition(separator)[0]
    return name, line[len(name) :].removeprefix("==").strip() or "any"
