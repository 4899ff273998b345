"""Changes of many experiments at once."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from submarine_ray.spec.actions import BulkAction
from submarine_ray.spec.answers.base import Answer
from submarine_ray.spec.base import Document
from submarine_ray.spec.experiment import Tag
from submarine_ray.spec.expressions import MAX_LENGTH

MOST = 10_000


class BulkChange(Document):
    """A change of many experiments: of those with these ids, or of all that match a filter."""

    action: BulkAction
    """`tag`, `untag`, `stop` or `delete`."""
    tag: Tag | None = None
    """The tag to add or to remove."""
    ids: list[Annotated[str, Field(max_length=64)]] | None = Field(default=None, max_length=MOST)
    """The experiments' ids; at most 10,000."""
    filter: str | None = Field(default=None, max_length=MAX_LENGTH)
    """A filter, for example `metrics.loss > 10 and tag = demo`; all experiments that match it are changed."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        if self.filter is not None and not self.filter.strip():
            raise ValueError("an empty filter would change every experiment; write `age > 0s` if that is what you want")
        if (self.tag is not None) != (self.action in (BulkAction.TAG, BulkAction.UNTAG)):
            raise ValueError("give a tag with the actions tag and untag, and with no other")
        return self


class BulkFailure(Answer):
    """An experiment that was not changed."""

    experiment_id: str
    """The experiment's id."""
    message: str
    """Why it was not changed."""


class BulkResult(Answer):
    """The result of a change of many experiments."""

    changed: int
    """The number of changed experiments, including those that already had, or did not have, the tag."""
    skipped: int
    """The number that had already ended, and were not stopped."""
    failures: list[BulkFailure]
    """The first hundred that could not be changed."""
    failed: int
    """The number that could not be changed."""
