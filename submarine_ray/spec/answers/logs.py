"""What the API answers about the lines of a log."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class LogLine(Answer):
    """A line of a log."""

    replica: str
    """The name of the replica that wrote it; `submarine` or `ray` for a line of the platform's or of Ray's."""
    time: int | None
    """When it was written, in milliseconds since 1970; null if that is not known."""
    line: str
    """The text, with its ANSI colours."""


class ReplicaLines(Answer):
    """How much one replica has written."""

    replica: str
    """The replica's name."""
    lines: int
    """The number of its lines."""


class LogWindow(Answer):
    """Some lines of a log."""

    offset: int
    """The number of the first of these lines, counted from 0."""
    total: int
    """The number of lines now."""
    lines: list[LogLine]
    """The lines."""
    unfinished: list[LogLine]
    """The lines that are being written, such as progress bars; they are not counted."""
    replicas: list[ReplicaLines]
    """All replicas of the log."""
    is_ordered: bool
    """False for a log of which no order was kept: then one replica's lines follow another's."""
    is_live: bool
    """Whether more lines may follow."""


class LogMatches(Answer):
    """Where a text or an error stands in a log."""

    lines: list[int]
    """The numbers of the lines, counted from 0."""
    is_complete: bool
    """False if there are more matches."""
