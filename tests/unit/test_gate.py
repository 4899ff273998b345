"""The gate: who is let in, and as whom; with the tokens that others issue."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from submarine_ray.access import callers
from submarine_ray.access.gate import Gate
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core.errors import Forbidden
from submarine_ray.core.settings import Settings
from tests.conftest import TOKEN

ATTEMPT = Principal(PrincipalKind.ATTEMPT, "experiment-1")


async def who(scope: Any, receive: Any, send: Any) -> None:
    principal = callers.caller(Request(scope))
    await JSONResponse({"kind": principal.kind, "name": principal.name})(scope, receive, send)


def client(token: str | None = TOKEN) -> TestClient:
    gate = Gate(
        who,
        Settings(token=token),  # type: ignore[arg-type]
        tokens=lambda token: ATTEMPT if token == "sra_of-an-attempt" else None,
        opens=lambda principal, scope: scope["path"] == f"/api/v1/experiment/{principal.name}/note",
    )
    return TestClient(gate, base_url="http://127.0.0.1:32080")


def test_each_token_makes_its_own_caller_and_an_attempt_reaches_its_own_run() -> None:
    own = "/api/v1/experiment/experiment-1/note"
    http = client()
    for path, token, status, kind in (
        ("/api/v1/experiment", TOKEN, 200, "administrator"),
        (own, "sra_of-an-attempt", 200, "attempt"),
        ("/api/v1/experiment/experiment-2/note", "sra_of-an-attempt", 403, None),
        ("/api/v1/experiment", "sra_of-an-attempt", 403, None),
        (own, "of-nobody", 401, None),
        (own, "sra_forged", 401, None),
        (own, "", 401, None),
    ):
        answer = http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, (path, token, answer.text)
        assert answer.json().get("kind") == kind
        assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def test_an_attempts_token_is_no_administrators_where_none_is_asked_for() -> None:
    for token, status in (("sra_of-an-attempt", 403), ("sra_forged", 401), ("another-services-token", 200)):
        headers = {"Authorization": f"Bearer {token}"}
        assert client(token=None).get("/api/v1/experiment", headers=headers).status_code == status


def test_a_token_is_one_however_it_is_written() -> None:
    http = client(token=None)  # whoever sends none is an administrator here
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        for token, status in (("sra_of-an-attempt", 403), ("sra_forged", 401)):
            headers = {"Authorization": f"{scheme} {token}"}
            assert http.get("/api/v1/experiment", headers=headers).status_code == status, scheme
    twice = [("Authorization", "Bearer sra_of-an-attempt"), ("Authorization", "Bearer x")]
    assert http.get("/api/v1/experiment", headers=twice).status_code == 401


def test_no_route_is_reached_by_a_newline_behind_its_path() -> None:
    assert client(token=None).get("/api/v1/cluster%0A").status_code == 404


def test_only_administrators_pass_for_administrators() -> None:
    request = Request({"type": "http", "state": {"principal": ATTEMPT}})
    assert callers.caller(request) == ATTEMPT
    with pytest.raises(Forbidden, match="the attempt 'experiment-1' is none"):
        callers.administrator(request)
