"""MLflow's errors, and those of the stores behind it, as ours: the one place that translates them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from submarine_ray.core.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    InvalidSpec,
    NotFound,
    SubmarineError,
    TrackingUnavailable,
)

Client = TypeVar("Client")

log = structlog.get_logger(__name__)

LONGEST = 500
# By MLflow's error codes. What is not listed is a trouble of MLflow's own, and no fault of who asked.
_KINDS: dict[str, type[SubmarineError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "NOT_FOUND": NotFound,
    "ENDPOINT_NOT_FOUND": NotFound,
    "RESOURCE_ALREADY_EXISTS": AlreadyExists,
    "ALREADY_EXISTS": AlreadyExists,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_STATE": Conflict,
    "ABORTED": Conflict,
    "INVALID_PARAMETER_VALUE": InvalidSpec,
    "BAD_REQUEST": InvalidSpec,
    "REQUEST_LIMIT_EXCEEDED": Busy,
    "RESOURCE_EXHAUSTED": Busy,
}
_REFUSALS = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
# Packages by which MLflow speaks to servers and stores elsewhere.
_REMOTE = frozenset({"azure", "boto3", "botocore", "google", "requests", "urllib3"})
_NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})


def ours(failure: Exception) -> SubmarineError | None:
    """The error to raise in place of MLflow's; None for what is neither MLflow's nor a store's."""
    if isinstance(failure, SubmarineError):
        return failure
    code = getattr(failure, "error_code", None)
    if isinstance(code, str) and _is_mlflows(failure):
        return _of_code(code, failure)
    if isinstance(failure, SQLAlchemyError):
        return _of_database(failure)
    if type(failure).__module__.partition(".")[0] in _REMOTE:
        if is_missing(failure):
            return NotFound(f"It is not in the artifact store: {_said(failure)}")
        return TrackingUnavailable(f"The server behind MLflow cannot be used now: {_said(failure)}")
    if isinstance(failure, OSError):
        why = failure.strerror or _said(failure)
        return TrackingUnavailable(f"The place of MLflow's files cannot be used now: {why}.")
    return None


def is_missing(failure: Exception) -> bool:
    """Whether an error of a store elsewhere says that something is not there."""
    answer = getattr(failure, "response", None)  # botocore's is a dict, that of requests has a status
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code")) in _NOT_THERE
    return str(getattr(answer, "status_code", None) or getattr(failure, "code", None)) in _NOT_THERE


@contextmanager
def translated() -> Iterator[None]:
    """What MLflow or its stores raise in here leaves as one of ours. Raises SubmarineError."""
    try:
        yield
    except SubmarineError:
        raise
    except Exception as failure:
        found = ours(failure)
        if found is None:
            raise
        if isinstance(found, TrackingUnavailable):
            log.warning("tracking.failed", why=_said(failure))
        raise found from failure


def translating(client: Client) -> Client:
    """MLflow's client, whose methods raise our errors."""
    return cast(Client, _Translating(client))


class _Translating:
    def __init__(self, client: object) -> None:
        self._client = client

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self._client, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*arguments: object, **options: object) -> object:
            with translated():
                return found(*arguments, **options)

        return call


def _is_mlflows(failure: Exception) -> bool:
    return any(one.__module__.partition(".")[0] == "mlflow" for one in type(failure).__mro__)


def _of_code(code: str, failure: Exception) -> SubmarineError:
    cause = failure.__cause__
    if isinstance(cause, SQLAlchemyError):  # MLflow's sentence would be the statement, with its parameters
        return _of_database(cause)
    if code in _REFUSALS:
        return TrackingUnavailable(f"MLflow does not let this service in: {_said(failure)}")
    kind = _KINDS.get(code)
    return kind(_said(failure)) if kind else TrackingUnavailable(f"MLflow cannot do this now: {_said(failure)}")


def _of_database(failure: SQLAlchemyError) -> SubmarineError:
    if isinstance(failure, IntegrityError):
        return Conflict("Somebody else changed the same in MLflow at this moment; try again.")
    if isinstance(failure, DataError):
        return InvalidSpec(f"MLflow's database cannot hold this: {_said(failure.orig or failure)}")
    return TrackingUnavailable("MLflow's database does not answer; try again in a moment.")


def _said(failure: BaseException) -> str:
    return str(getattr(failure, "message", None) or failure or type(failure).__name__)[:LONGEST]
