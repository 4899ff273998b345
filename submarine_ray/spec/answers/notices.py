"""Notices."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer, Attributes
from submarine_ray.spec.notices import NoticeKind


class Notice(Answer):
    """A notification of a user."""

    id: int
    """The notification's number; later ones have higher numbers."""
    kind: NoticeKind
    """experiment, notebook, endpoint or shared."""
    name: str
    """The name of what it is about."""
    status: str
    """The status that it has now: Succeeded, Failed, Stopped, Running or Shared."""
    message: str
    """What has happened, in a sentence."""
    path: str
    """Its page in the workbench."""
    time: str
    """When it happened."""
    read: bool
    """Whether the user has read it."""


class NoticesRead(Attributes):
    """Facts about a list of notifications."""

    unread: int
    """The number of notifications that the user has not read."""
