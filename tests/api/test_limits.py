"""What may be sent: the bounds of bodies, over every kind of route; nothing of it is answered 500 or held in memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.app import build
from submarine_ray.core.documents import DocumentRoute
from submarine_ray.core.http import Receive, Scope, Send
from submarine_ray.core.limits.bodies import Bodies
from submarine_ray.core.limits.encodings import TooMuch, expanded
from submarine_ray.core.limits.room import Room
from submarine_ray.core.settings import Settings
from submarine_ray.spec import bounds, documents, without_shell
from submarine_ray.spec.examples import EXAMPLES
from tests.conftest import run

EXPERIMENTS = "/api/v1/experiment"
JSON = {"Content-Type": "application/json"}
TRACES = "/mlflow/v1/traces"
ZEROS = bytes(64 * 2**20)


def experiment(**meta: Any) -> dict[str, Any]:
    spec = json.loads(json.dumps(EXAMPLES["ExperimentSpec"]))
    spec["meta"] |= meta
    return dict(spec)


@pytest.mark.parametrize("path", [EXPERIMENTS, TRACES, "/mlflow/api/2.0/mlflow/runs/search", "/_nicegui_ws/socket.io/"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(ZEROS)), ("deflate", zlib.compress(ZEROS)), ("gzip, gzip", gzip.compress(gzip.compress(ZEROS)))],
    ids=["gzip", "deflate", "twice"],
)  # fmt: skip
def test_what_becomes_large_is_refused(api: httpx.Client, path: str, encoding: str, body: bytes) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/x-protobuf"}
    refused = api.post(path, content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, 413), refused.text
    assert "Uncompressed: The body is larger than" in refused.json()["message"]


def test_of_what_becomes_large_no_more_than_the_bound_is_unpacked() -> None:
    body = gzip.compress(ZEROS) * 3
    assert expanded(gzip.compress(b"a") + gzip.compress(b"b"), ["gzip"], 2) == b"ab"
    assert expanded(zlib.compress(b"ab")[2:-4], ["deflate"], 2) == b"ab"
    with pytest.raises(TooMuch):
        expanded(body, ["gzip"], 1_000_000)


def test_compressed_bodies_are_read(api: httpx.Client) -> None:
    for encoding, body in (("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)):
        content = body(json.dumps(experiment()).encode())
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        assert api.post(EXPERIMENTS, content=content, headers=headers).status_code == 200
        search = body(b'{"max_results": 1}')
        found = api.post("/mlflow/api/2.0/mlflow/experiments/search", content=search, headers=headers)
        assert found.status_code == 200 and found.json()["experiments"], found.text
    for encoding, content, status in (("br", b"x", 415), ("gzip", b"x", 400), ("gzip", gzip.compress(b"{}")[:-6], 400)):
        refused = api.post(EXPERIMENTS, content=content, headers={"Content-Encoding": encoding})
        assert refused.status_code == status and refused.json()["message"], (encoding, refused.text)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("path", [EXPERIMENTS, "/mlflow/api/2.0/mlflow/runs/search", "/", "/nowhere", "/tensorboard/x"])
def test_no_route_takes_more_than_its_bound(api: httpx.Client, method: str, path: str) -> None:
    for content in (bytes(17 * 2**20), (bytes(2**20) for _ in range(17))):
        refused = api.request(method, path, content=content)
        assert refused.status_code == 413 and "The body is larger than" in refused.json()["message"]


@pytest.mark.parametrize(
    "path",
    ["/mlflow/api/2.0/mlflow-artifacts/artifacts/a/b", "/notebook/default/n/api/contents/x", "/ray/local/x"],
)
def test_what_is_streamed_is_counted(tmp_path: Path, path: str) -> None:
    kept: list[bytes] = []

    async def store(scope: Scope, receive: Receive, send: Send) -> None:
        """An app that keeps what it was sent, however that ended, as MLflow does."""
        found = b""
        while True:
            message = await receive()
            found += message.get("body", b"")
            if not message.get("more_body"):
                break
        kept.append(found)
        await Response("stored")(scope, receive, send)

    client = TestClient(Bodies(store, Settings(home=tmp_path, max_upload_bytes=100_000)))
    for content in (bytes(100_001), (bytes(60_000) for _ in range(2))):
        refused = client.put(path, content=content)
        assert refused.status_code == 413 and "SUBMARINE_MAX_UPLOAD_BYTES" in refused.json()["message"]
    assert kept == []  # no part of what was too large
    compressed = gzip.compress(bytes(1_000_000))
    assert client.put(path, content=compressed, headers={"Content-Encoding": "gzip"}).text == "stored"
    assert kept == [compressed]


def test_who_sends_slowly_holds_no_more_than_a_share(tmp_path: Path) -> None:
    """All bodies together have a bound; four times sixteen MiB that never end must not use it up for all others."""
    bodies = Bodies(Response("read"), Settings(home=tmp_path))

    async def sent(kind: PrincipalKind, name: str, first: bytes, rest: asyncio.Event | None = None) -> int:
        statuses = []

        async def receive() -> Any:
            nonlocal first
            if first:
                piece, first = first, b""
                return {"type": "http.request", "body": piece, "more_body": rest is not None}
            if rest:
                await rest.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/mlflow/x", "headers": [(b"transfer-encoding", b"chunked")]}
        await bodies({**scope, "state": {"principal": Principal(kind, name)}}, receive, send)
        return int(statuses[0])

    async def scenario() -> None:
        rest, large = asyncio.Event(), b"x" * 100_000
        slow = [asyncio.create_task(sent(PrincipalKind.ATTEMPT, "slow", bytes(16 * 2**20), rest)) for _ in range(4)]
        await asyncio.sleep(0)
        assert await sent(PrincipalKind.ATTEMPT, "slow", large) == 503
        assert await sent(PrincipalKind.ATTEMPT, "slow", b"small") == 200
        assert await sent(PrincipalKind.ATTEMPT, "other", large) == 200
        assert await sent(PrincipalKind.ADMINISTRATOR, "slow", large) == 200
        rest.set()
        assert await asyncio.gather(*slow) == [200] * 4
        assert await sent(PrincipalKind.ATTEMPT, "slow", large) == 200

    run(scenario())


YAML_OF_380_BYTES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8)
)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("yaml", YAML_OF_380_BYTES, "aliases such as *a0 are not taken"),
        ("yaml", "- a\n" * 245_000, "holds more than 20000 values"),
        ("yaml", "[" * 900_000, "is nested more than 100 deep"),
        ("yaml", 'meta: {name: "a\\0b"}', "meta.name: has a NUL character"),
        ("yaml", "meta: {name: 123456789012345678901234567890}", "meta.name: is an integer of more than 64 bits"),
        ("json", "[" * 900_000, "is nested more than 100 deep"),
        ("json", '{"a":' * 190_000, "is nested more than 100 deep"),
        ("json", "[[],{}" + ",[],{}" * 160_000 + "]", "holds more than 20000 values"),
        ("json", "[" + "9" * 900_000 + "]", "a number of more than 400 digits"),
        ("json", '{"meta": ' + "9" * 19 + "}", "meta: is an integer of more than 64 bits"),
        ("json", '{"meta": [1, -1e999]}', "meta.1: is beyond the largest number"),
        ("json", '{"meta": NaN}', "NaN is not a number there"),
        ("json", '{"meta": {"cmd": "\\ud800"}}', "meta.cmd: has half of a character (\\ud800)"),
        ("json", '{"meta": {"\\udfff": 1}}', "has half of a character"),
        ("json", '{"meta": {"tags": ["\\u0000"]}}', "meta.tags.0: has a NUL character"),
        ("json", b'{"meta": "\xed\xa0\x80"}', "is not UTF-8"),
        ("json", '"' + "\\" * 900_001, "is not valid JSON"),
        ("json", '"a' * 450_000, "is not valid JSON"),
    ],
)
def test_what_documents_cannot_be(api: httpx.Client, kind: str, body: Any, said: str) -> None:
    for path in (EXPERIMENTS, "/api/v1/template", "/api/v1/cluster"):
        refused = api.post(path, content=body, headers={"Content-Type": f"application/{kind}"})
        assert refused.status_code == 400 and said in refused.json()["message"], (path, refused.text[:300])


def test_mlflow_gets_no_json_that_it_cannot_read(api: httpx.Client) -> None:
    deep, many = "[" * 100_000, "[" + "{}," * 1_000_001 + "{}]"
    bodies: list[str | bytes] = ["[" * 500_000, '{"max_results": ' + "9" * 5000 + "}", many, json.dumps(many)]
    bodies += [json.dumps(deep), *(deep.encode(coding) for coding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32"))]
    for body in bodies:
        for path in ("/mlflow/api/2.0/mlflow/runs/search", "/mlflow/ajax-api/3.0/mlflow/traces/search"):
            refused = api.post(path, content=body, headers={"Content-Type": "application/json"})
            assert refused.status_code == 400 and refused.json()["status"] == "BAD_REQUEST", body[:20]
    # What its oldest clients send, and a file that only looks so.
    for content in (json.dumps('{"max_results": 1}'), '{"max_results": 1}'.encode("utf-16")):
        found = api.post("/mlflow/api/2.0/mlflow/experiments/search", content=content, headers=JSON)
        assert found.status_code == 200 and found.json()["experiments"], found.text


@pytest.mark.parametrize("field", ["filter", "order_by"])
def test_filters_are_bounded_before_they_are_parsed(api: httpx.Client, field: str) -> None:
    text = "a = 1 AND " * 7000  # MLflow's parser would take a second
    search = "/mlflow/api/2.0/mlflow/{}/search".format
    for kind in ("runs", "experiments"):
        refused = api.post(search(kind), json={field: text if field == "filter" else [text], "max_results": 1})
        assert refused.status_code == 400 and f"{field} has more than 65536" in refused.text, kind
    runs = ", ".join(f"'{number:032x}'" for number in range(1000))  # as pages compare runs
    found = api.post(search("runs"), json={"experiment_ids": ["0"], "filter": f"attributes.run_id IN ({runs})"})
    assert found.status_code == 200, found.text


def test_graphql_is_bounded_before_it_is_parsed(api: httpx.Client) -> None:
    wide = "{" + " ".join(f"a{number}: __typename" for number in range(10_000)) + "}"
    for query, status in (("{a" * 20_000, 400), (wide, 413)):
        assert api.post("/mlflow/graphql", json={"query": query}).status_code == status
    query = "query E($id: String!) { mlflowGetExperiment(input: {experimentId: $id}) { experiment { name } } }"
    asked = {"query": query, "variables": {"id": "0"}, "operationName": "E"}
    assert api.post("/mlflow/graphql", json=asked).json()["data"]["mlflowGetExperiment"]["experiment"]["name"]


def test_documents_are_validated_in_a_thread(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def here(*arguments: Any) -> Any:
            seen.append(threading.current_thread().name.partition("_")[0])
            return work(*arguments)

        return here

    for module, name in ((bounds, "read_json"), (documents, "load"), (without_shell, "refuse")):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    for kind in ("json", "yaml"):
        content = json.dumps(experiment())
        answer = api.post(EXPERIMENTS, content=content, headers={"Content-Type": f"application/{kind}"})
        assert answer.status_code == 200, answer.text
    assert seen[:2] == ["documents"] * 2 and seen.count("documents") >= 4


def test_every_route_with_a_body_takes_it_validated(tmp_path: Path) -> None:
    app = build(Settings(home=tmp_path))
    routes = [route for router in _routers(app.router) for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 60
    assert not [route.path for route in routes if route.body_field and not isinstance(route, DocumentRoute)]


def _routers(router: Any) -> Iterator[Any]:
    yield router
    for route in router.routes:
        if (below := getattr(route, "original_router", None)) is not None:
            yield from _routers(below)


def test_room_is_given_in_order_and_given_back() -> None:
    async def scenario() -> list[str]:
        room, order = Room(10), []

        async def need(name: str, size: int) -> None:
            async with room.taken(size):
                order.append(name)
                await asyncio.sleep(0)

        async with room.taken(8):
            tasks = [asyncio.create_task(need(*one)) for one in (("large", 100), ("gone", 3), ("small", 1))]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*tasks, return_exceptions=True)
        return order

    assert run(scenario()) == ["large", "small"]
