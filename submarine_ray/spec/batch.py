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
    """The sender's name. Each process that sends has its own."""
    sequence: Annotated[int, Field(ge=1, lt=_INT64)]
    """The batch's number, which grows from batch to batch. A batch that is already stored changes nothing."""
    after: Annotated[int, Field(ge=0, lt=_INT64)] | None = None
    """The number of the sender's previous batch. If it is not the last one stored, the answer is 409."""
    keys: Annotated[list[Annotated[str, Field(min_length=1, max_length=250)]], Field(max_length=MAX_KEYS)]
    """The names of the metrics, each once."""
    key: Annotated[list[_Natural], Field(max_length=MAX_POINTS)]
    """For each point, the index of its metric in `keys`."""
    step: list[_Whole]
    """For each point, the training step."""
    timestamp: list[_Natural]
    """For each point, when it was logged, in milliseconds since 1970."""
    value: list[float | Literal["NaN", "Infinity", "-Infinity"]]
    """For each point, the value."""
