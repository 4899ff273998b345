"""The application that splits a model's requests: what it counts of what it hands on."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from serve_apps import traffic
from submarine_ray.serving.metrics import SPLIT_FAMILY
from tests.conftest import run


class Histogram:
    """Keeps what is observed."""

    def __init__(self, name: str, **_more: Any) -> None:
        self.name = name
        self.seen: list[dict[str, str]] = []

    def observe(self, value: float, tags: dict[str, str]) -> None:
        assert value >= 0
        self.seen.append(tags)


class Handle:
    """A version's application, which answers with `answer`."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.answer = self

    async def remote(self, *_asked: object) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def asked(method: str = "POST") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": method, "path": "/m/invocations", "headers": headers, "query_string": b""}
    return Request(scope, receive)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    monkeypatch.setattr(traffic.metrics, "Histogram", Histogram)
    monkeypatch.setattr(traffic.loopback, "stay_there", lambda: None)
    monkeypatch.setattr(traffic.serve, "get_app_handle", lambda name: Handle(found[name]))
    return found


def test_each_request_is_counted_for_its_version_with_its_status(answers: dict[str, Any]) -> None:
    answers |= {"m-1": (400, b"{}"), "m-2": RuntimeError("the model is broken")}
    made = traffic.TrafficDeployment.func_or_class()

    async def ask() -> None:
        for number, weights in (("1", "old"), ("2", "new")):
            routes = [{"version": one, "application": f"m-{one}", "weight": int(one == number)} for one in ("1", "2")]
            made.reconfigure({"routes": routes, "weights": weights})
            if number == "1":
                answered = await made(asked())
                assert (answered.status_code, answered.headers["x-model-version"]) == (400, "1")
                await made(asked("GET"))  # a probe
            else:
                with pytest.raises(RuntimeError, match="broken"):
                    await made(asked())

    run(ask())
    assert made._latency.seen == [
        {"version": "1", "endpoint": "m-1", "weights": "old", "status_code": "400"},
        {"version": "2", "endpoint": "m-2", "weights": "new", "status_code": "500"},
    ]
    assert f"ray_{made._latency.name}_bucket" == SPLIT_FAMILY
