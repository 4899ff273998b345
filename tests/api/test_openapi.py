"""The OpenAPI document: complete, true, and attacked by schemathesis within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
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
    app = build(Settings(home=tmp_path_factory.mktemp("attacked"), port=port))
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
