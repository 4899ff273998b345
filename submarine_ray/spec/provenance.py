"""What a runner tells of the machine and the code that an attempt runs with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from submarine_ray.spec.base import Document

MAX_PACKAGES = 5_000
_Version = Annotated[str, StringConstraints(max_length=128)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=214)]


class ProvenanceReport(Document):
    """What an attempt runs with, as its first replica found it."""

    python: _Version
    """The version of Python."""
    platform: _Version = ""
    """The operating system and the processor, such as `Linux-6.8-x86_64`."""
    packages: dict[_Name, _Version] = Field(max_length=MAX_PACKAGES)
    """The installed Python packages and their versions."""
    commit: str | None = Field(default=None, pattern="^[0-9a-f]{40,64}$")
    """The commit of the repository that was cloned."""
