"""Requests to MLflow that it does not understand are bad requests, whatever their form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import LogBatch
from mlflow.utils.proto_json_utils import parse_dict

from submarine_ray.tracking.strict import refuse_what_is_not_understood


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"metrics": [{"key": "a", "value": 1, "step": 2**70}]}, r"metrics\[0\] .*step"),
        ({"metrics": 5}, "metrics"),
        ({"metrics": {"key": "a"}}, "metrics"),
        ({"metrics": [5]}, r"metrics\[0\] 5"),
        ({"run_id": 5}, "run_id"),
    ],
)
def test_what_is_not_understood_is_a_bad_request(document: Any, said: str) -> None:
    handlers = SimpleNamespace(parse_dict=parse_dict)
    refuse_what_is_not_understood(handlers)
    with pytest.raises(MlflowException, match=f"cannot be stored as it is: .*{said}") as failure:
        handlers.parse_dict(document, LogBatch())
    assert failure.value.get_http_status_code() == 400
