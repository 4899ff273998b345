"""The kinds of notices."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class NoticeKind(StrEnum):
    """What notices are about."""

    EXPERIMENT = "experiment"
    NOTEBOOK = "notebook"
    ENDPOINT = "endpoint"
    SHARED = "shared"


class NoticeSettings(BaseModel):
    """Which notifications a user gets."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kinds: list[NoticeKind] = Field(default_factory=lambda: list(NoticeKind), max_length=len(NoticeKind))
    """experiment: an experiment or a sweep of yours has ended; notebook: a notebook of yours has ended; endpoint: an
    endpoint of yours has failed, or has recovered; shared: somebody has shared something with the team."""
