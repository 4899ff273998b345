"""Masks that users send back, in the words of the service's errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec import masks
from submarine_ray.spec.base import unchecked

Model = TypeVar("Model", bound=BaseModel)


def restored(model: Model, kept: Callable[[], BaseModel] | None = None) -> Model:
    """What a user has sent, with the secrets of what is kept in place of their masks; `kept` is asked if there are any.
    Raises InvalidSpec for a mask that stands for nothing; any mask does where nothing is kept.
    """
    if masks.HIDDEN not in model.model_dump_json():
        return model
    document = model.model_dump(by_alias=True, exclude_unset=True)
    with _told():
        if kept is None:
            masks.refuse_hidden(document)
            return model
        return type(model).model_validate(masks.restored(document, kept().model_dump(by_alias=True)))


def shown(model: type[Model], text: str, context: Mapping[str, object] | None = None) -> Model:
    """A kept document as answers show it, with masks for its secrets. What an earlier version has accepted, and this
    one would not, is shown as it was written: one such row must not hide all others.
    """
    if not masks.may_hide(text):  # most have nothing to mask, and lists have thousands of them
        with suppress(ValidationError):
            return model.model_validate_json(text, context=context)
    document = masks.masked(json.loads(text))
    try:
        return model.model_validate(document, context=context)
    except ValidationError:
        return unchecked(model, document)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except masks.HiddenValue as failure:
        raise InvalidSpec(str(failure), failure.path) from failure
