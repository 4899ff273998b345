"""Specs as people write them, and the places in them that a form's fields show."""

from __future__ import annotations

from pydantic.main import IncEx

from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import Json, JsonObject, value_at


def written(spec: ExperimentSpec) -> JsonObject:
    """An answered spec as a person would write it: nothing that says nothing."""
    roles: dict[str, IncEx | bool] = {role: {"resource_map"} for role in spec.spec}
    left_out: dict[str, IncEx | bool] = {"meta": {"experiment_id"}, "spec": roles}
    return spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=left_out, warnings=False
    )


def said(document: JsonObject) -> JsonObject:
    """A document without the fields that it leaves open, for one that is no whole spec."""
    found = {key: _said(value) for key, value in document.items()}
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _said(value: Json) -> Json:
    if isinstance(value, list):
        return [_said(item) for item in value]
    return said(value) if isinstance(value, dict) else value


def read(document: JsonObject, path: str) -> Json:
    """The value at a path such as `spec.Worker.replicas`; None without one."""
    return value_at(document, *path.split("."))


def put(document: JsonObject, path: str, value: Json) -> None:
    """Set a value; without one, the field goes, and what is empty without it. A role stays: it has one replica then."""
    *parents, last = path.split(".")
    trail = [document]
    for part in parents:
        below = trail[-1].get(part)
        if not isinstance(below, dict):
            if value is None:
                return
            below = trail[-1][part] = {}
        trail.append(below)
    if value is not None:
        trail[-1][last] = value
        return
    trail[-1].pop(last, None)
    if path.startswith(("meta.", "spec.")):
        return
    for above, part, below in reversed([*zip(trail, parents, trail[1:], strict=False)]):
        if not below:
            above.pop(part, None)
