"""Odd values, in every place of every route: what is wrong is told as such, and is no failure of the service's own."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from submarine_ray.spec.examples import EXAMPLES

SEED = 20
NUMBERS = [2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, -1, 0, 1e308, 1e-320]
TEXTS = [
    "", " ", "\0", "a\0b", "\ud800", "a/b", "..", "../../x", "%", "%zz", "x" * 300, "x" * 8_000, "9" * 30, "-9223372036854775809",
    "\u202e", "\ufffe", "é", "😀", "'", '"', "{{x}}", "${x}", "null", "NaN", "1e999", "a,b=c", "[", "{}", "\r\nx: y", "\x85", "2026-13-45",
    "https://[", "http://[::1", "http://x:99999999", "package://x", "s3://", "file:///etc/passwd", "a:b@c:d", "=", "==", ":", "*",
    base64.urlsafe_b64encode(json.dumps([2**70, "a"]).encode()).decode(),
    base64.urlsafe_b64encode(json.dumps([1e400, "a"]).encode()).decode(),
    base64.urlsafe_b64encode(b'[0, "\\ud800"]').decode(), base64.urlsafe_b64encode(b"[" * 5000).decode(),
    base64.urlsafe_b64encode(json.dumps([0, {"a": 1}]).encode()).decode(), base64.urlsafe_b64encode(b"[1,2,3]").decode(),
]  # fmt: skip
ADDRESSES = [
    "https://[",
    "http://[::1",
    "http://x:99999999",
    "http://:80",
    "http://x:-1",
    "a:b@c:d",
    "s3://",
    "http://\u2100/",
]
SHAPES: list[Any] = [None, [], {}, [[]], {"": {}}, True, [None], {"a": None}]
PATHS = [
    "/ray/x%2Fy", "/ray/x%2Fy/z", "/ray/%00/", "/ray/%ff/", "/ray/a%0Ab/", "/ray//", "/notebook/%00/x/", "/notebook/a/%ff/",
    "/notebook/%2F/%2F/lab", "/notebook/default/a%2Fb/lab", "/mlflow/%00", "/mlflow/%ff", "/tensorboard/%00", "/%00", "/%ff", "/%zz",
    "//", "/api/v1/%00", "/api/v1/experiment/%ff", "/api/v1/experiment/a%00b", "/api/v1/experiment?limit=%00", "/?%00", "/?a=%ff",
    "/api/v1/experiment?cursor=%ff", "/api/v1/experiment?%zz=%zz", "/api/v1/experiment?limit=1;limit=2", "/api/v1/experiment?status=%00",
    "/health?%ff", "/docs?%00", "/mlflow/api/2.0/mlflow/experiments/get?experiment_id=%00",
    "/mlflow/api/2.0/mlflow/experiments/get?experiment_id=99999999999999999999", "/mlflow/api/2.0/mlflow/runs/get?run_id=%00",
    "/experiment/%00", "/experiments/%ff", "/model/%00", "/experiments?page=99999999999999999999", "/experiments?status=%00",
    "/api/v1/package/%00", "/api/v1/package/..%2Fx", "/workbench-static/%00", "/workbench-static/%ff", "/help/%00", "/help/%ff", "/_nicegui/%00", "/_nicegui/a/b/%2e%2e",
]  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service of its own: what is left in it disturbs nobody."""
    app = build(Settings(home=tmp_path_factory.mktemp("odd")))
    with TestClient(app, base_url="http://127.0.0.1:32080", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def operations(api: httpx.Client) -> list[tuple[str, str, dict[str, Any]]]:
    document = api.get("/openapi.json").json()
    return [
        (method.upper(), path, operation | {"schemas": document["components"]["schemas"]})
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def wrong(answer: httpx.Response) -> bool:
    return answer.status_code >= 500 and answer.status_code != 503


def send(api: httpx.Client, method: str, path: str, **more: Any) -> str | None:
    """What is wrong with the answer, if anything is."""
    answer = api.request(method, path, **more)
    if not wrong(answer):
        return None
    return f"{method} {path[:200]} {str(more)[:300]}: {answer.status_code} {answer.text[:200]}"


def at(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", odd(value))
    return path


def odd(value: str) -> str:
    """Percent-encoded; half of a character as the bytes that it would have."""
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def parameters(operation: dict[str, Any], where: str) -> list[str]:
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == where]


@pytest.fixture(scope="module")
def things(api: httpx.Client) -> dict[str, str]:
    """Something of each kind that paths name, so that what stands behind its name is reached."""
    experiment = api.post("/api/v1/experiment", json=EXAMPLES["ExperimentSpec"]).json()["result"]
    for path, example in (
        ("environment", "NewEnvironment"),
        ("template", "TemplateSpec"),
        ("registered-model", "RegisteredModelSpec"),
    ):
        api.post(f"/api/v1/{path}", json=EXAMPLES[example] | {"name": "odd"})
    notebook = copy.deepcopy(EXAMPLES["NotebookSpec"])
    notebook["meta"]["name"] = "odd"
    api.post("/api/v1/notebook", json=notebook)
    return {"id": experiment["experimentId"], "experiment_id": experiment["experimentId"], "name": "odd", "version": "1",
            "submission": experiment["experimentId"], "run_id": experiment["experimentId"], "digest": "0" * 64}  # fmt: skip


def test_in_paths_and_queries(api: httpx.Client, operations: list[Any], things: dict[str, str]) -> None:
    random_ = random.Random(SEED)
    failures: list[str | None] = []
    values = [*TEXTS, *map(str, NUMBERS)]
    for method, path, operation in operations:
        if path.endswith(("/end", "/stream")):
            continue  # they wait
        known = {name: things.get(name, "x") for name in parameters(operation, "path")}
        for name in known:
            for value in random_.sample(values, 12):
                failures.append(send(api, method, at(path, known | {name: value})))
        queries = parameters(operation, "query")
        for name in queries:
            for value in values if name in ("cursor", "limit") else random_.sample(values, 12):
                other = f"&{random_.choice(queries)}={odd(random_.choice(values))}" if random_.random() < 0.3 else ""
                failures.append(send(api, method, f"{at(path, known)}?{name}={odd(value)}{other}"))
    assert not list(filter(None, failures)), "\n".join(sorted(set(filter(None, failures)))[:40])


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    below = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in below:
        yield from places(value, (*path, key))


def put(document: Any, path: tuple[Any, ...], value: Any, as_key: bool = False) -> Any:
    if not path:
        return value
    made = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if as_key and isinstance(inner, dict):
        inner[value] = inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    return made


def examples(operation: dict[str, Any]) -> Iterator[Any]:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for one in schema.get("oneOf", [schema]):
        name = one.get("$ref", "").rsplit("/", 1)[-1].removesuffix("-Input")
        if name in EXAMPLES:
            yield EXAMPLES[name], operation["schemas"].get(name) or operation["schemas"][f"{name}-Input"]


def filled(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A document with every field that the schema has, so that each can be made odd."""
    if "$ref" in schema:
        return filled(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas, depth + 1) if depth < 8 else {}
    for group in ("anyOf", "oneOf", "allOf"):
        if group in schema:
            return filled(next((one for one in schema[group] if one.get("type") != "null"), {}), schemas, depth)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            found = {name: filled(one, schemas, depth) for name, one in schema.get("properties", {}).items()}
            more = schema.get("additionalProperties")
            return found | ({"a": filled(more, schemas, depth)} if isinstance(more, dict) else {})
        case "array":
            return [filled(schema.get("items", {}), schemas, depth)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    return "a"


def merged(example: Any, more: Any) -> Any:
    """The example, with the fields of `more` that it lacks."""
    if isinstance(example, dict) and isinstance(more, dict):
        return {**more, **{key: merged(value, more.get(key)) for key, value in example.items()}}
    return example


def test_in_bodies(api: httpx.Client, operations: list[Any], things: dict[str, str]) -> None:
    random_ = random.Random(SEED)
    failures = []
    for method, path, operation in operations:
        known = {name: things.get(name, "x") for name in parameters(operation, "path")}
        for example, schema in examples(operation):
            whole = filled(schema, operation["schemas"])
            for place in places(merged(example, whole)):
                if not place:
                    continue
                document = example
                for end in range(1, len(place)):  # fields that the example lacks, one at a time
                    document = _with(document, whole, place[:end])
                values = [*random_.sample(TEXTS, 3), random_.choice(NUMBERS), random_.choice(SHAPES)]
                if any(part in str(place[-1]).lower() for part in ("url", "uri", "address", "server")):
                    values += ADDRESSES
                for value in values:
                    failures.append(
                        _post(api, method, at(path, known), put(_with(document, whole, place), place, value))
                    )
    assert not list(filter(None, failures)), "\n".join(sorted(set(filter(None, failures)))[:40])


def _with(document: Any, whole: Any, place: tuple[Any, ...]) -> Any:
    """The document with what `whole` has at this place, unless it has something there."""
    made = copy.deepcopy(document)
    inner, source = made, whole
    for key in place:
        source = (
            source[key]
            if (isinstance(source, dict) and key in source) or (isinstance(source, list) and key < len(source))
            else None
        )
        if isinstance(inner, dict):
            if inner.get(key) is None:
                inner[key] = copy.deepcopy(source)
            inner = inner[key]
        elif isinstance(inner, list):
            if key >= len(inner):
                inner.append(copy.deepcopy(source))
            inner = inner[key]
    return made


def _post(api: httpx.Client, method: str, path: str, document: Any) -> str | None:
    content = json.dumps(document)
    return send(api, method, path, content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_at_every_mount(api: httpx.Client, method: str) -> None:
    assert not list(filter(None, (send(api, method, path) for path in PATHS)))


HOSTS = [
    "",
    "[",
    "[::1",
    "]",
    "::1",
    "a:b:c",
    "127.0.0.1:99999999",
    "127.0.0.1:x",
    "\xff",
    "localhost:",
    "[v1.x]",
    "x" * 5000,
    "a@b",
    "127.0.0.1 x",
    "http://",
]


@pytest.mark.parametrize("name", ["host", "origin", "referer", "cookie", "authorization", "accept", "content-type", "content-length",
                                  "content-encoding", "accept-encoding", "range", "if-modified-since", "x-forwarded-for",
                                  "forwarded", "sec-fetch-mode", "if-none-match", "sec-websocket-key", "accept-language"])  # fmt: skip
def test_in_headers(api: httpx.Client, name: str) -> None:
    failures = []
    values = [
        *HOSTS,
        "bytes=9-1",
        "bytes=" + "0-," * 1000,
        "9" * 30,
        "-1",
        "a=\xff; b",
        "Bearer \xff",
        "null",
        "*/*;q=x",
        "application/json; charset=\xff",
    ]
    for value, (method, path) in itertools.product(values, [("GET", "/"), ("POST", "/api/v1/experiment")]):
        content = b"{}" if method == "POST" else None
        failures.append(send(api, method, path, headers={name: value.encode("latin-1")}, content=content))
    assert not list(filter(None, failures)), "\n".join(filter(None, failures))


def test_numbers_that_mlflow_cannot_store(api: httpx.Client) -> None:
    for number in ("9" * 19, "9" * 30, "9" * 4000):
        answers = [
            api.get("/mlflow/api/2.0/mlflow/experiments/get", params={"experiment_id": number}),
            api.post("/mlflow/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0", number]}),
            api.post("/mlflow/api/2.0/mlflow/runs/create", json={"experiment_id": number}),
            api.get("/mlflow/api/2.0/mlflow/model-versions/get", params={"name": "a", "version": number}),
        ]
        assert [answer.status_code for answer in answers] == [400] * 4, [answer.text[:200] for answer in answers]


def test_every_number_that_is_taken_has_bounds(operations: list[Any]) -> None:
    """What has none ends in the database, which refuses some of them, and answers 500."""
    unbounded = []
    for method, path, operation in operations:
        for parameter in operation.get("parameters", ()):
            unbounded += [
                (method, path, parameter["name"]) for one in _integers(parameter["schema"]) if not _is_bounded(one)
            ]
        for _, schema in examples(operation):
            for name, field in schema["properties"].items():
                unbounded += [(method, path, name) for one in _integers(field) if not _is_bounded(one)]
    assert not unbounded


def _integers(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema.get("type") == "integer":
        yield schema
    if any(one.get("type") == "string" for one in schema.get("anyOf", ())):
        return  # it is kept as text
    for one in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        yield from _integers(one)


def _is_bounded(schema: dict[str, Any]) -> bool:
    return "maximum" in schema or "exclusiveMaximum" in schema


def _kubeconfig(cluster: str, user: str = "{}") -> dict[str, str]:
    return {"kubeconfig": (
        f"clusters: [{{name: a, cluster: {cluster}}}]\ncontexts: [{{name: c, context: {{cluster: a, user: u}}}}]\n"
        f"users: [{{name: u, user: {user}}}]\ncurrent-context: c\n"
    )}  # fmt: skip


@pytest.mark.parametrize(
    "registration",
    [
        _kubeconfig("{server: 'http://['}"), _kubeconfig("5", "7"), _kubeconfig("[]", "5"),
        _kubeconfig("{server: x, tokenFile: /x}", "{token: a}"),  # both are looked at
        {"kubeconfig": "clusters: 5\ncontexts: 5"}, {"kubeconfig": "clusters: {a: b}\ncontexts: [{name: c}]\ncurrent-context: [c]"},
        {"kubeconfig": "clusters: [5]\ncontexts: [{name: c, context: 5}]\nusers: {a: 5}"}, {"kubeconfig": "clusters: &a [*a]"},
        {"kubeconfig": "[" * 100_000}, {"kubeconfigFile": "~nobody-here/config"}, {"kubeconfigFile": "x" * 300},
        *({"kind": "ray", "address": address} for address in (
            "http://a\u2100b/", f"http://{'a' * 70}/", "http://..a/", "http://\u00e9../", "http://x:0", "http://x:99999", "http://[::1",
        )),
    ],
)  # fmt: skip
def test_clusters_that_cannot_be(api: httpx.Client, registration: dict[str, str]) -> None:
    refused = api.post("/api/v1/cluster", json={"name": "odd", "kind": "kuberay", "namespace": "default"} | registration
                       if "address" not in registration else {"name": "odd"} | registration)  # fmt: skip
    assert refused.status_code == 400 and refused.json()["message"], refused.text
