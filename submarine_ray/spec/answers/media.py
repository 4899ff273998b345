"""Images, tables and other things that experiments logged and that are no numbers."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.spec.answers.base import Answer


@dataclass(frozen=True)
class Wanted:
    """Which items are asked for; None is any."""

    kind: str | None = None
    key: str | None = None
    step: int | None = None


class MediaItem(Answer):
    """An image, a figure, a table, a text, a histogram or audio that a replica logged."""

    name: str
    """The item's own name. `GET /api/v1/experiment/{id}/media/{name}` is its content."""
    kind: str
    """image, figure, table, text, histogram, audio, confusion_matrix, roc_curve or pr_curve."""
    key: str
    """The key that it was logged with."""
    step: int
    """The training step."""
    replica: str
    """The replica that logged it: `worker-0`."""
    caption: str
    """The caption."""
    timestamp: int
    """When it was logged, in milliseconds since 1970."""
    size: int
    """The size of its content in bytes."""
    width: int
    """The width of an image in pixels; 0 if it is not known."""
    height: int
    """The height of an image in pixels; 0 if it is not known."""
    has_preview: bool
    """Whether a small form of an image is stored beside it: `?preview=true`."""
    run_id: str
    """The MLflow run that has it among its artifacts."""
    path: str
    """Its path among the artifacts of that run."""

    @property
    def suffix(self) -> str:
        return self.path.rsplit(".", 1)[-1]


class MediaGroup(Answer):
    """What was logged with one key, by all replicas."""

    kind: str
    """The kind, as of an item."""
    key: str
    """The key."""
    count: int
    """The number of items."""
    first_step: int
    """The lowest step."""
    last_step: int
    """The highest step."""


class MediaStored(Answer):
    """What became of a batch."""

    items: int
    """The number of items in the batch. All are stored, each once."""
