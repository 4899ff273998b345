"""MLflow's errors as ours: of its codes, of its database, and of the stores and servers behind it."""

from __future__ import annotations

import errno
import os

import pytest
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import databricks_pb2 as codes

from submarine_ray.core.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    InvalidSpec,
    NotFound,
    SubmarineError,
    TrackingUnavailable,
)
from submarine_ray.tracking.failures import ours, translated, translating


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (codes.RESOURCE_DOES_NOT_EXIST, NotFound),
        (codes.RESOURCE_ALREADY_EXISTS, AlreadyExists),
        (codes.INVALID_PARAMETER_VALUE, InvalidSpec),
        (codes.INVALID_STATE, Conflict),
        (codes.REQUEST_LIMIT_EXCEEDED, Busy),
        (codes.TEMPORARILY_UNAVAILABLE, TrackingUnavailable),
        (codes.INTERNAL_ERROR, TrackingUnavailable),
        (codes.PERMISSION_DENIED, TrackingUnavailable),
    ],
)
def test_by_mlflows_code(code: int, kind: type[SubmarineError]) -> None:
    found = ours(MlflowException("the run is not there", code))
    assert type(found) is kind and "the run is not there" in str(found)


def test_of_a_server_elsewhere() -> None:
    found = ours(RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Run"}))
    assert type(found) is NotFound and "No Run" in str(found)
    for failure in (requests.ConnectionError("refused"), requests.Timeout("slow")):
        assert type(ours(failure)) is TrackingUnavailable
    missing = requests.HTTPError("404", response=requests.Response())
    missing.response.status_code = 404
    assert type(ours(missing)) is NotFound


def test_a_statement_of_mlflows_database_is_not_shown() -> None:
    def wrapped(cause: Exception, code: int) -> MlflowException:
        failure = MlflowException(str(cause), code)
        failure.__cause__ = cause
        return failure

    lost = sqlalchemy.exc.OperationalError("SELECT secret", {}, Exception("gone away"))
    twice = sqlalchemy.exc.IntegrityError("INSERT secret", {}, Exception("UNIQUE"))
    waited = sqlalchemy.exc.TimeoutError("QueuePool limit, secret")
    kinds = [(lost, TrackingUnavailable), (twice, Conflict), (waited, TrackingUnavailable)]
    for cause, kind in kinds:
        for failure in (cause, wrapped(cause, codes.BAD_REQUEST)):
            found = ours(failure)
            assert type(found) is kind and "secret" not in str(found)


def test_of_a_disk() -> None:
    found = ours(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert type(found) is TrackingUnavailable and "No space left on device" in str(found)


def test_a_mistake_in_the_code_is_none_of_mlflows() -> None:
    assert ours(KeyError("x")) is None
    with pytest.raises(KeyError), translated():
        raise KeyError("x")


def test_a_clients_methods_raise_ours() -> None:
    class Client:
        kind = "store"

        def get_run(self, run: str) -> str:
            if run == "known":
                return run
            raise MlflowException("no", codes.RESOURCE_DOES_NOT_EXIST)

    client = translating(Client())
    assert client.kind == "store" and client.get_run("known") == "known"
    with pytest.raises(NotFound):
        client.get_run("other")
