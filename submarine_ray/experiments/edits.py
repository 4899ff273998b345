"""What of a spec is about the experiment and edited in place, and what it runs: to change that begins an attempt."""

from __future__ import annotations

from typing import Any

from submarine_ray.core.errors import Conflict, SecretLost
from submarine_ray.experiments import answers
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentSpec

# Nothing that runs asks for them: pods keep the labels that they were made with.
IN_PLACE = ("name", "namespace", "owner", "team", "tags", "notes")


def edited(row: ExperimentRow, after: ExperimentSpec) -> list[str] | None:
    """The fields of `meta` that a spec changes in place; None if it is another experiment to run."""
    try:
        before = answers.stored_spec(row)
    except (Conflict, SecretLost):  # what is stored cannot be read: there is nothing to compare with
        return None
    if _what_runs(before) != _what_runs(after):
        return None
    return [name for name in IN_PLACE if getattr(before.meta, name) != getattr(after.meta, name)]


def describe(row: ExperimentRow, spec: ExperimentSpec, names: list[str]) -> str:
    """A sentence that describes the edit, for the experiment's history."""
    if "name" in names:
        renamed = f"from {row.name!r} to {spec.meta.name!r}"
        return f"A user changed its name {renamed}" + (f", and its {_listed(names, 'name')}." if names[1:] else ".")
    return f"A user changed its {_listed(names)}."


def write(row: ExperimentRow, spec: ExperimentSpec) -> ExperimentSpec:
    """Write the edited fields of a spec to the row, and return the spec that it has now."""
    kept = answers.stored_spec(row)
    for name in IN_PLACE:
        setattr(kept.meta, name, getattr(spec.meta, name))
    row.name, row.owner, row.spec = kept.meta.name, kept.meta.owner, answers.kept(kept)
    return kept


def _listed(names: list[str], *without: str) -> str:
    *first, last = [name for name in names if name not in without]
    return f"{', '.join(first)} and {last}" if first else last


def _what_runs(spec: ExperimentSpec) -> dict[str, Any]:
    document = spec.model_dump(mode="json")
    document["meta"] = {
        name: value for name, value in document["meta"].items() if name not in (*IN_PLACE, "experiment_id")
    }
    return document
