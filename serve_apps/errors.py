"""What an endpoint answers when it has no prediction."""

from __future__ import annotations


class Refusal(Exception):
    """Answered to the caller with `status` instead of a prediction."""

    status = 500


class BadRequest(Refusal):
    """The request cannot be right: 400, or 404 for a path that is not there."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ModelFailed(Refusal):
    """The model raised, or answered what JSON cannot hold: 500. `broken` is why it cannot be trusted any more."""

    def __init__(self, message: str, broken: str | None = None) -> None:
        super().__init__(message)
        self.broken = broken


class Busy(Refusal):
    """More requests wait than will ever be answered in time, or the replica is being replaced."""

    status = 503


class CannotServe(Exception):
    """The model cannot be loaded or does not answer its own example. Its text is the endpoint's message."""
