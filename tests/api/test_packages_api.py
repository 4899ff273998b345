"""Uploads through HTTP, and experiments whose code turns out to be unusable."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.access import connections
from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from tests.conftest import mlflow_of_its_own, run, spec, wait_until
from tests.kuberay.heads import ScriptedHead
from tests.unit.test_packages import FILE, one, zipped

pytestmark = pytest.mark.own_mlflow

PATH = "/api/v1/package"
LIMIT = 200_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def head(home: Path) -> Iterator[ScriptedHead]:
    """The local cluster, in the service's eyes."""
    head = ScriptedHead()
    (home / "run").mkdir()
    (home / "run" / "ray.json").write_text(
        json.dumps({"pid": 1, "created": 0, "address": f"http://{head.address}", "directory": str(home / "ray")})
    )
    (home / "ray-token").write_text(head.token)
    yield head
    head.close()


@pytest.fixture(scope="module")
def service(home: Path, head: ScriptedHead, api: httpx.Client) -> Iterator[httpx.Client]:
    api.get("/mlflow/health")  # MLflow is configured by who loads it first: the service that all tests share
    from fastapi.testclient import TestClient

    app = build(Settings(home=home, max_package_bytes=LIMIT, max_unpacked_bytes=1_000_000))
    with (
        mlflow_of_its_own(),
        TestClient(app, base_url="http://127.0.0.1:32080", raise_server_exceptions=False) as client,
    ):
        yield client


def stored(home: Path) -> set[str]:
    return {path.name for path in (home / "packages").iterdir()}


def test_a_package_comes_back_as_it_was_sent(service: httpx.Client) -> None:
    content = one("x")
    url = service.put(PATH, content=content).json()["result"]["url"]
    back = service.get(f"{PATH}/{url.removeprefix('package://')}")
    assert back.content == content and back.headers["content-type"] == "application/zip"
    for name in ("0" * 64, "..%2f..%2fsecret.key", "x"):
        assert service.get(f"{PATH}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"x" * (LIMIT + 1), 413, "The body is larger than 200000 bytes, which SUBMARINE_MAX_PACKAGE_BYTES sets."),
        ((piece for piece in [b"x" * LIMIT, b"x"]), 413, "The body is larger than 200000 bytes"),
        (zipped(("zeros", FILE, b"\0" * 2_000_000)), 413, "unpacks to 2000000 bytes, and 1000000 are possible"),
        (zipped(("x" * 300, FILE, "")), 400, f"holds '{'x' * 80}'..., a name that is longer than 255 bytes"),
        (b"no zip", 400, "the zip is broken, or no zip"),
        (b"", 400, "the zip is broken, or no zip"),
    ],
    ids=["announced", "streamed", "bomb", "name", "other", "empty"],
)
def test_an_upload_that_is_refused_leaves_nothing(
    service: httpx.Client, home: Path, content: Any, status: int, told: str
) -> None:
    before = stored(home)
    refused = service.put(PATH, content=content)
    assert refused.status_code == status and told in refused.json()["message"]
    assert stored(home) == before


def test_an_upload_that_is_cut_off_leaves_nothing(service: httpx.Client, home: Path) -> None:
    before = stored(home)
    messages = [
        {"type": "http.request", "body": b"PK" * 50_000, "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http", "method": "PUT", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1:32080")], "client": ("testclient", 50000), "server": ("127.0.0.1", 32080),
        "scheme": "http", "http_version": "1.1", "state": connections.told({}, os.geteuid()),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        assert message.get("status") in (None, 400)

    run(service.app(scope, receive, send))  # type: ignore[attr-defined]
    assert stored(home) == before


def submit(service: httpx.Client, url: str) -> str:
    body = spec(code={"syncMode": "package", "url": url})
    return str(service.post("/api/v1/experiment", json=body).json()["result"]["experimentId"])


def get(service: httpx.Client, id: str) -> dict[str, Any]:
    return dict(service.get(f"/api/v1/experiment/{id}").json()["result"])


def test_code_that_cannot_be_unpacked_fails_its_experiment_once_and_holds_up_nobody(
    service: httpx.Client, head: ScriptedHead, home: Path
) -> None:
    url = service.put(PATH, content=one("broken")).json()["result"]["url"]
    file = home / "packages" / f"{url.removeprefix('package://')}.zip"
    file.write_bytes(file.read_bytes()[:-40])
    before = stored(home)
    broken = submit(service, url)
    wait_until(lambda: get(service, broken)["status"] == "Failed", 20, "the end of the experiment")
    events = service.get(f"/api/v1/experiment/{broken}/events").json()["result"]
    told = [event for event in events if event["reason"] == "CodeSyncFailed"]
    assert len(told) == 1 and told[0]["message"].startswith("The code cannot be unpacked: the zip is broken")
    assert stored(home) == before and broken not in head.jobs

    url = service.put(PATH, content=one("gone")).json()["result"]["url"]
    head.token, right = "another", head.token  # it waits, and meanwhile somebody empties the directory
    gone = submit(service, url)
    (home / "packages" / f"{url.removeprefix('package://')}.zip").unlink()
    head.token = right
    wait_until(lambda: get(service, gone)["status"] == "Failed", 20, "the end of the experiment")
    assert "The code is gone" in get(service, gone)["message"]


def test_code_that_cannot_be_unpacked_now_waits_and_lets_others_pass(
    service: httpx.Client, head: ScriptedHead, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = service.put(PATH, content=one("x" * 100)).json()["result"]["url"]
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 10}))
        whole = spec(code={"syncMode": "package", "url": url}, spec={"Worker": {"replicas": 1, "resources": "cpu=2"}})
        first = service.post("/api/v1/experiment", json=whole).json()["result"]["experimentId"]
        wait_until(lambda: "room for 10" in (get(service, first).get("message") or ""), 20, "it says why it waits")
        assert get(service, first)["status"] == "Accepted"
        behind = service.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
        wait_until(lambda: behind in head.jobs, 20, "the one behind it starts")
    for id in (first, behind):
        service.delete(f"/api/v1/experiment/{id}")
