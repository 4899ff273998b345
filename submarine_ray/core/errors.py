"""The errors that reach users: each knows its HTTP status, and its message says what, where and what to do."""

from __future__ import annotations

from http import HTTPStatus


class SubmarineError(Exception):
    """Base of all errors that are answered to a user."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class InvalidSpec(SubmarineError):
    """What was asked for cannot be: `field` is the path of what to change."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class Unauthorized(SubmarineError):
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(SubmarineError):
    status = HTTPStatus.FORBIDDEN


class NotFound(SubmarineError):
    status = HTTPStatus.NOT_FOUND


class AlreadyExists(SubmarineError):
    status = HTTPStatus.CONFLICT


class Conflict(SubmarineError):
    status = HTTPStatus.CONFLICT


class TooLarge(SubmarineError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unavailable(SubmarineError):
    """Something this service stands on does not answer; the same request may succeed later.

    `retry_after`: the seconds that a program should wait before it asks again.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = 5


class SecretLost(Unavailable):
    """What was sealed with a key that this service does not have."""


class DatabaseUnavailable(Unavailable):
    pass


class ClusterUnavailable(Unavailable):
    pass


class TrackingUnavailable(Unavailable):
    pass


class Busy(Unavailable):
    """As many as may wait for something wait for it already."""
