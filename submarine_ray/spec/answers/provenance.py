"""What an attempt ran with."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class GitState(Answer):
    """The commit that the code is of."""

    commit: str
    """The commit's id."""
    branch: str | None
    """The branch, if it is known."""
    dirty: bool | None
    """Whether the code had changes that are not in the commit; null if it is not known."""
    repository: str | None
    """The repository's URL."""


class Provenance(Answer):
    """The code and the software that an attempt ran with. Fields are null if the attempt did not report them."""

    attempt: int
    """The number of the attempt."""
    git: GitState | None
    """The commit of its code, if it comes from Git."""
    python: str | None
    """The version of Python."""
    platform: str | None
    """The operating system and the processor."""
    packages: dict[str, str] | None
    """The installed Python packages and their versions."""
