"""The OpenAPI document: complete, true, and attacked by schemathesis within bounds."""

from __future__ import annotations

import copy
import itertools
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from submarine_ray.access.connections import PeerProtocol
from submarine_ray.app import build
from submarine_ray.core.http import PACKAGE_PATH
from submarine_ray.core.settings import Settings
from submarine_ray.spec.examples import EXAMPLES
from tests.conftest import free_port, wait_until

EXAMPLES_PER_OPERATION = 12
DOCS = Path(__file__).parents[2] / "docs"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def document(api: httpx.Client) -> dict[str, Any]:
    return dict(api.get("/openapi.json").json())


def test_it_is_where_submarine_has_it_too(api: httpx.Client, document: dict[str, Any]) -> None:
    assert api.get("/v1/openapi.json").json() == document


def test_every_field_parameter_and_operation_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = [
        (name, field, text) for name, schema in schemas.items() for field, text in schema.get("properties", {}).items()
    ]
    assert not [(name, field) for name, field, text in fields if not text.get("description")]
    operations = [(path, method, o) for path, item in document["paths"].items() for method, o in item.items()]
    assert not [(path, method) for path, method, o in operations if not o.get("summary")]
    parameters = [(path, p["name"], p) for path, _, o in operations for p in o.get("parameters", ())]
    assert not [(path, name) for path, name, p in parameters if not p.get("description")]
    assert "HTTPValidationError" not in schemas and not [path for path, _, o in operations if "422" in o["responses"]]


def test_every_request_that_a_page_names_is_an_operation(document: dict[str, Any]) -> None:
    operations = [
        (method.upper(), re.sub(r"\{[^}]+\}", "[^/]+", path), {p["name"] for p in operation.get("parameters", ())})
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    named = [
        (page.name, *found)
        for page in sorted(DOCS.glob("*.md"))
        for found in re.findall(
            r"\b(GET|POST|PUT|PATCH|DELETE) +(/(?:api/v1/|health|ready|metrics)[^\s`?]*)(\?[^\s`]*)?",
            page.read_text(),
        )
    ]
    assert len(named) > 50
    for page, method, path, query in named:
        asked = set(re.findall(r"[?&](\w+)", query))
        assert any(m == method and re.fullmatch(p, path) and asked <= known for m, p, known in operations), (page, path)


def test_every_answer_in_json_is_declared_by_a_model(document: dict[str, Any]) -> None:
    bare = [
        (method, path, status)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        if "$ref" not in (answer.get("content", {}).get("application/json", {}).get("schema") or {"$ref": ""})
    ]
    assert bare == []


def test_every_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    bodies = {
        one["$ref"].rsplit("/", 1)[-1]
        for item in document["paths"].values()
        for operation in item.values()
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
        if kind == "application/json"
        for one in content["schema"].get("oneOf", [content["schema"]])
    }
    assert {name.removesuffix("-Input") for name in bodies} == set(EXAMPLES)
    for name in bodies:
        (example,) = schemas[name]["examples"]
        jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})


@pytest.mark.parametrize(
    ("path", "name"),
    [("experiment", "ExperimentSpec"), ("environment", "NewEnvironment"), ("template", "TemplateSpec"),
     ("notebook", "NotebookSpec"), ("registered-model", "RegisteredModelSpec"), ("cluster", "RayClusterSpec")],
)  # fmt: skip
def test_the_examples_are_accepted(api: httpx.Client, path: str, name: str) -> None:
    answer = api.post(f"/api/v1/{path}", json=EXAMPLES[name])
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of its own, over a real socket: what schemathesis leaves in it disturbs nobody."""
    port = free_port()
    settings = Settings(home=tmp_path_factory.mktemp("attacked"), port=port, allow_cluster_networks="127.0.0.0/8")  # type: ignore[arg-type]
    app = build(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=PeerProtocol, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 60, "the service answers")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(GenerationMode.POSITIVE, id="positive"),
        pytest.param(GenerationMode.NEGATIVE, id="negative", marks=pytest.mark.long),
    ],
)
def test_nothing_that_is_sent_breaks_it(live: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{live}/openapi.json").exclude(path=PACKAGE_PATH)  # takes zips
    failures: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES_PER_OPERATION,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def attack(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=20)

        try:
            given(case=operation.as_strategy(generation_mode=mode))(attack)()
        except Unsatisfiable:
            pass  # nothing can be wrong about a request without parameters, or with one that is any text
        except Exception as failure:  # all of them, so that one run shows all
            failures.append(f"{operation.method.upper()} {operation.path}: {failure}")
    assert not failures, "\n\n".join(failures)


class _Odd(BaseHTTPRequestHandler):
    """A cluster that answers something else each time, and nothing that a cluster would."""

    answers = itertools.cycle(
        [
            b"",
            b"[]",
            b"{",
            b'{"version": ' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b"\xff",
            b'{"data": "\\ud800"}',
            b"null",
        ]
    )

    def do_GET(self) -> None:
        body = next(self.answers)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def odd_cluster() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_clusters_are_registered_whatever_they_answer(live: str, odd_cluster: str) -> None:
    """Addresses that are drawn at random are none; here they are a listener's, which the service then asks."""
    operation = schemathesis.openapi.from_url(f"{live}/openapi.json")["/api/v1/cluster"]["POST"]
    registered = 0

    @settings(
        max_examples=EXAMPLES_PER_OPERATION * 2, database=None, deadline=None, derandomize=True,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE), number=st.integers(0, 10**6))
    def register(case: schemathesis.Case, number: int) -> None:
        nonlocal registered
        if not isinstance(case.body, dict) or case.body.get("kind", "ray") != "ray":
            case.body = copy.deepcopy(EXAMPLES["RayClusterSpec"])
        name = f"c{number}"
        case.body |= {"name": name, "address": odd_cluster}
        if case.body.get("serveUrl"):
            case.body["serveUrl"] = odd_cluster
        answer = case.call_and_validate(checks=CHECKS, timeout=30)
        if answer.status_code == 200:
            registered += 1
            for path in (f"/api/v1/cluster/{name}", f"/ray/{name}/", "/api/v1/cluster"):
                found = httpx.get(f"{live}{path}", timeout=30, trust_env=False)
                assert found.status_code < 500 or found.status_code == 503, found.text
            assert httpx.delete(f"{live}/api/v1/cluster/{name}", timeout=30, trust_env=False).status_code == 200

    register()
    assert registered > EXAMPLES_PER_OPERATION / 2
