"""Notebooks."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.notebooks import NotebookSpec


class Notebook(Answer):
    """A notebook."""

    notebook_id: str
    """The notebook's id."""
    name: str
    """The notebook's name."""
    uid: str
    """The notebook's UUID."""
    url: str
    """The path of its JupyterLab on this service."""
    status: str
    """creating, waiting, running, terminating, stopped or failed."""
    reason: str
    """Why it has this status, in a sentence."""
    created_time: str | None
    """When it was created."""
    deleted_time: str | None
    """When it was deleted."""
    spec: NotebookSpec
    """The spec, with its environment filled in."""
