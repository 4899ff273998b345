"""A batch of points as the API documents it. It is read without pydantic, which would cost more than storing it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from submarine_ray.spec.spool.batches import MAX_KEYS, MAX_POINTS

_INT64 = 2**63
_Whole = Annotated[int, Field(ge=-_INT64, lt=_INT64)]
_Natural = Annotated[int, Field(ge=0, lt=_INT64)]


class MetricBatch(BaseModel):
    """Points of a run's metrics as columns of equal length. The body may be compressed (Content-Encoding: gzip)."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    writer: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$")]
    """Who numbers the batches: one for each process that sends."""
    sequence: Annotated[int, Field(ge=1, lt=_INT64)]
    """Grows from batch to batch. A batch whose number is not above the last one stored changes nothing."""
    after: Annotated[int, Field(ge=0, lt=_INT64)] | None = None
    """The number of the batch before: if it is not the last one stored, the answer is 409."""
    keys: Annotated[list[Annotated[str, Field(min_length=1, max_length=250)]], Field(max_length=MAX_KEYS)]
    """The metrics' names, each once."""
    key: Annotated[list[_Natural], Field(max_length=MAX_POINTS)]
    """Of each point, its metric's place in keys."""
    step: list[_Whole]
    """Of each point, the training step."""
    timestamp: list[_Natural]
    """Of each point, milliseconds since 1970."""
    value: list[float | Literal["NaN", "Infinity", "-Infinity"]]
    """Of each point, its value."""
