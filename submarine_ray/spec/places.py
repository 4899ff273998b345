"""The kinds of things that have a page, and where each is in the workbench."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote


class ObjectKind(StrEnum):
    """What is found by a search, in the order in which a search lists it."""

    EXPERIMENT = "experiment"
    MODEL = "model"
    MODEL_VERSION = "model-version"
    ENDPOINT = "endpoint"
    TEMPLATE = "template"
    ENVIRONMENT = "environment"
    NOTEBOOK = "notebook"
    CLUSTER = "cluster"
    REPORT = "report"
    WORKSPACE = "workspace"
    VIEW = "experiment-view"
    HELP = "help"


STARRED = (
    ObjectKind.EXPERIMENT,
    ObjectKind.MODEL,
    ObjectKind.ENDPOINT,
    ObjectKind.TEMPLATE,
    ObjectKind.NOTEBOOK,
)
"""The kinds of favourites."""

_BELOW = {
    ObjectKind.EXPERIMENT: "/experiments",
    ObjectKind.MODEL: "/models",
    ObjectKind.MODEL_VERSION: "/models",
    ObjectKind.ENDPOINT: "/endpoints",
    ObjectKind.TEMPLATE: "/templates",
    ObjectKind.CLUSTER: "/clusters",
}
_SAVED = {
    ObjectKind.REPORT: "/reports/",
    ObjectKind.WORKSPACE: "/charts?workspace=",
    ObjectKind.VIEW: "/experiments?view=",
}
"""Saved documents have the names of their kinds (saved/kinds.py)."""
_LISTS = {ObjectKind.ENVIRONMENT: "/environments", ObjectKind.NOTEBOOK: "/notebooks"}


def version_key(model_name: str, version: int) -> str:
    """The key of a model's version, and of its endpoint."""
    return f"{model_name}/{version}"


def path(kind: ObjectKind, key: str) -> str:
    """The page of a thing, or the list that it is in. `key` is the id of an experiment, a notebook or a
    saved document, `model/version` of a
    version and of an endpoint, the address of a page of the documentation, and the name of everything else.
    """
    if kind is ObjectKind.HELP:
        return f"/help/{key}"
    if kind in _LISTS:
        return _LISTS[kind]
    if kind in _SAVED:
        return f"{_SAVED[kind]}{quote(key, safe='')}"
    if kind in (ObjectKind.MODEL_VERSION, ObjectKind.ENDPOINT):
        name, _, version = key.rpartition("/")
        return f"{_BELOW[kind]}/{quote(name, safe='')}/{version}"
    return f"{_BELOW[kind]}/{quote(key, safe='')}"
