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
    """Answers may gain fields in a later version; none goes away."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="strings",
        extra="allow",
    )


class Attributes(Answer):
    """What an answer's `attributes` say: how to go on, or what its result is about."""


class NumberedPage(Attributes):
    """A page by its number."""

    total: int
    """How many there are in all."""
    page: int
    """Which page, from 1 on."""
    page_size: int
    """How many on a page."""


class CursorPage(Attributes):
    """A page behind a cursor."""

    limit: int
    """At most so many on it."""
    next_cursor: str | None
    """Where the next page begins; null on the last."""


class Page(Answer):
    """A page that belongs to the platform."""

    available: bool
    """Whether it is there now."""
    url: str
    """Where, on this service."""
