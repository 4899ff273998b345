"""Masks that users send back, in the words of the service's errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec import masks

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


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except masks.HiddenValue as failure:
        raise InvalidSpec(str(failure), failure.path) from failure
