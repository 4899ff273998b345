"""What all answers share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

# JSON has no NaN and no infinities: answers have them as these strings, as protobuf's JSON does.
Number = Annotated[
    float,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"], "type": "string"}]}),
]


class Answer(BaseModel):
    """What the API answers. Later versions may add fields; they remove none."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="strings",
        extra="allow",
    )


class Attributes(Answer):
    """The `attributes` of an answer: how to get the next page, or facts about the whole result."""


class NumberedPage(Attributes):
    """A page of a list, chosen by its number."""

    total: int
    """The number of items in the whole list."""
    page: int
    """The page's number, from 1."""
    page_size: int
    """The largest number of items on a page."""


class CursorPage(Attributes):
    """A page of a list, chosen by a cursor."""

    limit: int
    """The largest number of items on this page."""
    next_cursor: str | None
    """The cursor of the next page; null on the last page."""


class Page(Answer):
    """A web page of the platform, such as TensorBoard."""

    available: bool
    """Whether the page can be opened now."""
    url: str
    """The page's URL on this service."""
