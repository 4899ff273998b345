"""What a search finds, favourites, and what was opened last."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.places import ObjectKind


class Found(Answer):
    """A search result, a favourite, or a recently opened page."""

    kind: ObjectKind
    """experiment, model, model-version, endpoint, template, environment, notebook, cluster, report,
    workspace, experiment-view or help."""
    key: str
    """An experiment's or a notebook's id; `model/version` of a version and of an endpoint; the address of a page of the
    documentation, below /help/; the name of everything else."""
    name: str
    """The name to show."""
    detail: str | None
    """Further details: an experiment's id and tags, the page of a heading."""
    status: str | None
    """Its status; null if it has none."""
    path: str
    """Its page in the workbench."""
    starred: bool
    """Whether it is a favourite of the user who asks."""


class Opened(Answer):
    """A user's favourites and recently opened pages."""

    starred: list[Found]
    """The favourites, the newest first."""
    recent: list[Found]
    """What was opened last, the newest first; without favourites."""
