"""What every resource does at its edges: hostile names, hostile texts, races, second deletions, ten thousand items."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from submarine_ray.environments.tables import EnvironmentRow
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.examples import EXAMPLES
from submarine_ray.templates.tables import TemplateRow

MANY = 10_000
HOSTILE_NAMES = [
    "", " ", "a/b", "../../etc/passwd", "a..b", 'a"b', "a'b", "a b", "a\nb", "a\0b", "模型", "é", "x" * 1000, "-a", "a%2fb",
    "'; DROP TABLE notebook; --", "{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>", "__import__('os')",
]  # fmt: skip
HOSTILE_TEXT = '\'; DROP TABLE environment; -- {{7*7}} ${x} <script>alert(1)</script> "quoted" 模型 \\ %s {0} 😀'


@dataclass(frozen=True)
class Resource:
    """A kind of thing with a name: its path, a valid body, where in it the name and a free text stand."""

    path: str
    example: str
    name: tuple[str, ...] = ("name",)
    text: tuple[str, ...] = ("description",)
    by_id: str | None = None

    def body(self, name: str, text: str | None = None) -> dict[str, Any]:
        made = copy.deepcopy(EXAMPLES[self.example])
        _put(made, self.name, name)
        if text is not None:
            _put(made, self.text, text)
        return made

    def url(self, created: dict[str, Any], name: str) -> str:
        return f"{self.path}/{quote(created['result'][self.by_id] if self.by_id else name, safe='')}"


def _put(document: dict[str, Any], where: tuple[str, ...], value: str) -> None:
    for key in where[:-1]:
        document = document[key]
    document[where[-1]] = value


RESOURCES = [
    Resource("/api/v1/environment", "NewEnvironment"),
    Resource("/api/v1/template", "TemplateSpec"),
    Resource("/api/v1/registered-model", "RegisteredModelSpec"),
    Resource("/api/v1/notebook", "NotebookSpec", ("meta", "name"), ("spec", "envVars", "TEST_ENV"), "notebookId"),
    Resource("/api/v1/experiment", "ExperimentSpec", ("meta", "name"), ("meta", "namespace"), "experimentId"),
]
NAMED_ONCE = [resource for resource in RESOURCES if resource.by_id != "experimentId"]
each = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.path.rsplit("/", 1)[-1])
each_named = pytest.mark.parametrize("resource", NAMED_ONCE, ids=lambda resource: resource.path.rsplit("/", 1)[-1])


def fresh() -> str:
    return f"edge-{uuid.uuid4().hex[:10]}"


@each
def test_hostile_names_are_refused_clearly(api: httpx.Client, resource: Resource) -> None:
    before = len(api.get(resource.path).json()["result"])
    for name in HOSTILE_NAMES:
        answer = api.post(resource.path, json=resource.body(name))
        assert answer.status_code == 400, (name, answer.text)
        assert ".".join(resource.name) in answer.json()["message"], (name, answer.text)
    assert len(api.get(resource.path).json()["result"]) == before


@each
def test_hostile_texts_are_kept_as_they_are(api: httpx.Client, resource: Resource) -> None:
    name = fresh()
    created = api.post(resource.path, json=resource.body(name, HOSTILE_TEXT)).json()
    assert created["status"] == "OK", created
    shown = json.dumps(api.get(resource.url(created, name)).json()["result"], ensure_ascii=False)
    assert json.dumps(HOSTILE_TEXT, ensure_ascii=False) in shown


@each
def test_hostile_names_in_paths_are_unknown(api: httpx.Client, resource: Resource) -> None:
    for name in HOSTILE_NAMES[2:]:
        path = f"{resource.path}/{quote(name, safe='')}"
        for method in ("GET", "DELETE"):
            answer = api.request(method, path)
            assert answer.status_code in (400, 404, 405), (method, name, answer.text)
            assert answer.json()["success"] is False


@each
def test_a_second_deletion_is_404(api: httpx.Client, resource: Resource) -> None:
    name = fresh()
    url = resource.url(api.post(resource.path, json=resource.body(name)).json(), name)
    assert api.delete(url).status_code == 200
    assert api.delete(url).status_code == 404
    assert api.get(url).status_code == 404


@each_named
def test_of_concurrent_creates_exactly_one_wins(api: httpx.Client, resource: Resource) -> None:
    name = fresh()
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda _: api.post(resource.path, json=resource.body(name)).status_code, range(8)))
    assert codes == [200] + [409] * 7


@each
@pytest.mark.parametrize("body", [None, [], "text", 7, {}, {"name": 7, "meta": 7}], ids=str)
def test_bodies_of_the_wrong_shape(api: httpx.Client, resource: Resource, body: Any) -> None:
    answer = api.post(resource.path, json=body)
    assert answer.status_code == 400 and answer.json()["message"], answer.text


@each
def test_wrong_content_types_and_methods_answer_in_the_envelope(api: httpx.Client, resource: Resource) -> None:
    for answer, code in (
        (api.post(resource.path, content="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}), 400),
        (api.post(resource.path, content=b"\xff\xfe", headers={"Content-Type": "application/json"}), 400),
        (api.post(resource.path, content="{[", headers={"Content-Type": "application/yaml"}), 400),
        (api.put(resource.path, json={}), 405),
        (api.post(resource.path, content=b" " * 2_000_000, headers={"Content-Type": "application/json"}), 413),
    ):
        body = answer.json()
        assert (answer.status_code, body["code"], body["success"]) == (code, code, False), answer.text
        assert set(body) == {"status", "code", "success", "message", "result", "attributes"}
    assert "GET" in api.put(resource.path, json={}).headers["allow"]


def _environments(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": f"env-{row['id']}", "spec": json.dumps({"name": f"env-{row['id']}"}), "changed_ms": 0}


def _templates(row: dict[str, Any]) -> dict[str, Any]:
    number = row.pop("id").rsplit("-", 1)[-1]
    spec = EXAMPLES["TemplateSpec"] | {"name": f"template-{number}", "parameters": []}
    spec["experimentSpec"] = EXAMPLES["ExperimentSpec"]
    return {**row, "name": spec["name"], "spec": json.dumps(spec), "changed_ms": 0}


def _notebooks(row: dict[str, Any]) -> dict[str, Any]:
    spec = EXAMPLES["NotebookSpec"]
    return row | {
        "uid": row["id"], "namespace": "default", "name": "n", "cluster": "local", "spec": json.dumps(spec),
        "environment": "{}", "sealed_token": "", "wanted": "stop", "status": "stopped", "reason": "", "generation": 1,
        "attempt": 1, "failures": 0, "superseded": "", "demand_cpu": 0, "demand_memory": 0, "demand_gpu": 0,
    }  # fmt: skip


def _experiments(row: dict[str, Any]) -> dict[str, Any]:
    row["accepted_ms"] = row.pop("created_ms")
    return row | {
        "uid": row["id"], "name": "n", "framework": "PyTorch", "cluster": "local", "archived": True,
        "spec": json.dumps(EXAMPLES["ExperimentSpec"]), "status": "Succeeded", "generation": 1, "wanted": "run",
        "attempt": 1, "failures": 0, "max_retries": 0, "superseded": "", "demand_cpu": 0, "demand_memory": 0, "demand_gpu": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with ten thousand of everything."""
    app = build(Settings(home=tmp_path_factory.mktemp("crowded")))
    kinds: list[tuple[Any, Callable[[dict[str, Any]], dict[str, Any]]]] = [
        (EnvironmentRow, _environments), (TemplateRow, _templates), (NotebookRow, _notebooks), (ExperimentRow, _experiments),
    ]  # fmt: skip
    with TestClient(app, base_url="http://127.0.0.1:32080") as client:
        with app.state.platform.database.session(write=True) as session:
            for table, filled in kinds:
                # Many share a millisecond: a page must not end between them unnoticed.
                rows = [{"id": f"many-{number:05d}", "created_ms": number // 7} for number in range(MANY)]
                session.execute(insert(table), [filled(row) for row in rows])
        yield client


@pytest.mark.parametrize("kind", ["environment", "template", "notebook", "experiment"])
def test_ten_thousand_items_are_listed_whole_and_in_pages(crowded: TestClient, kind: str) -> None:
    whole = crowded.get(f"/api/v1/{kind}").json()
    assert len(whole["result"]) >= MANY and whole["attributes"] == {}
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = crowded.get(f"/api/v1/{kind}", params={"limit": 1000, "cursor": cursor}).json()
        assert len(page["result"]) <= 1000
        paged += page["result"]
        cursor = page["attributes"]["nextCursor"]
    assert paged == whole["result"]
    for wrong in ({"limit": 0}, {"limit": 1001}, {"limit": 5, "cursor": "nonsense"}):
        assert crowded.get(f"/api/v1/{kind}", params=wrong).status_code == 400
