"""Notebooks."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.notebooks import NotebookSpec


class Notebook(Answer):
    """A notebook."""

    notebook_id: str
    """Its id."""
    name: str
    """Its name."""
    uid: str
    """A UUID."""
    url: str
    """Where JupyterLab opens, on this service."""
    status: str
    """creating, waiting, running, terminating, stopped or failed."""
    reason: str
    """Why, in a sentence."""
    created_time: str | None
    """When it was asked for."""
    deleted_time: str | None
    """When it was deleted."""
    spec: NotebookSpec
    """What was asked for, with the whole of its environment."""
