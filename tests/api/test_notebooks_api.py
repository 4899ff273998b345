"""Notebooks over REST, with every cluster down; and how a browser gets in where a token is set."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from tests.conftest import TOKEN

URL = "/api/v1/notebook"


def notebook(name: str | None = None, **changes: Any) -> dict[str, Any]:
    meta = {"name": name or f"nb-{uuid.uuid4().hex[:8]}", "namespace": "default", "ownerId": "somebody"}
    return {
        "meta": meta,
        "environment": {"name": "notebook-env"},
        "spec": {"envVars": {"TEST_ENV": "test"}, "resources": "cpu=1,memory=1.0Gi"},
        **changes,
    }


def test_the_documented_answer(api: httpx.Client) -> None:
    body = notebook()
    created = api.post(URL, json=body)
    answer, result = created.json(), created.json()["result"]
    assert created.status_code == 200 and answer["message"] == "Create a notebook instance"
    assert set(result) == {"notebookId", "name", "uid", "url", "status", "reason", "createdTime", "deletedTime", "spec"}
    name, id = body["meta"]["name"], result["notebookId"]
    assert id.startswith("notebook_") and result["url"] == f"/notebook/default/{name}/lab"
    assert (result["status"], result["deletedTime"]) == ("creating", None)
    assert result["spec"]["meta"] == {
        "name": name,
        "namespace": "default",
        "ownerId": "somebody",
        "labels": {"notebook-owner-id": "somebody", "notebook-id": id},
    }
    assert result["spec"]["environment"]["kernelSpec"]["name"] == "submarine_jupyter_py3"
    assert result["spec"]["spec"] == body["spec"]

    got = api.get(f"{URL}/{id}").json()
    assert got["message"] == "Get the notebook instance" and got["result"]["uid"] == result["uid"]
    listed = api.get(URL).json()
    assert listed["message"] == "List all notebook instances" and id in [n["notebookId"] for n in listed["result"]]
    assert api.get(f"{URL}?id=nobody").json()["result"] == []
    assert id in [n["notebookId"] for n in api.get(f"{URL}?id=somebody").json()["result"]]
    deleted = api.delete(f"{URL}/{id}").json()
    assert deleted["message"] == "Delete the notebook instance" and deleted["result"]["status"] == "terminating"
    assert deleted["result"]["deletedTime"] and api.get(f"{URL}/{id}").status_code == 404
    assert api.delete(f"{URL}/{id}").status_code == 404


def test_yaml_is_understood(api: httpx.Client) -> None:
    name = f"nb-{uuid.uuid4().hex[:8]}"
    text = f"meta: {{name: {name}}}\nenvironment: {{name: notebook-env}}\nspec: {{resources: 'cpu=1'}}\n"
    answer = api.post(URL, content=text, headers={"Content-Type": "application/yaml"})
    assert answer.json()["result"]["name"] == name


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"meta": {"name": "Upper"}}, "meta.name"),
        ({"meta": {"name": "1st"}}, "meta.name"),
        ({"meta": {"name": "ends-"}}, "meta.name"),
        ({"meta": {"name": "a" * 64}}, "meta.name"),
        ({"meta": {"name": "../up"}}, "meta.name"),
        ({"meta": {"name": "a", "namespace": "b/c"}}, "meta.namespace"),
        ({"meta": {}}, "meta.name"),
        ({"meta": {"name": "a", "ownerId": "x" * 65}}, "meta.ownerId"),
        ({"spec": {}}, "spec.resources"),
        ({"spec": {"resources": "cpu=no"}}, "spec.resources"),
        ({"spec": {"resources": "cpu=1", "envVars": {"A B": "c"}}}, "spec.envVars"),
        ({"spec": {"resources": "cpu=1", "idleSeconds": -1}}, "spec.idleSeconds"),
        ({"environment": {"name": "no-such"}}, "environment.name"),
        ({"cluster": "no-such"}, "cluster"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_wrong(api: httpx.Client, change: dict[str, Any], where: str) -> None:
    answer = api.post(URL, json=notebook(**change))
    assert answer.status_code == 400 and where in answer.json()["message"], answer.json()["message"]


def test_one_name_is_taken_once(api: httpx.Client) -> None:
    body = notebook()
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda _: api.post(URL, json=body).status_code, range(8)))
    assert codes == [200] + [409] * 7
    elsewhere = notebook(meta={**body["meta"], "namespace": "team-b"})
    assert api.post(URL, json=elsewhere).status_code == 200
    id = next(n["notebookId"] for n in api.get(URL).json()["result"] if n["name"] == body["meta"]["name"])
    api.delete(f"{URL}/{id}")
    assert api.post(URL, json=body).status_code == 200  # a deleted notebook's name is free at once


def test_stop_start_and_history(api: httpx.Client) -> None:
    id = api.post(URL, json=notebook()).json()["result"]["notebookId"]
    assert api.post(f"{URL}/{id}/stop").json()["result"]["status"] == "terminating"
    assert api.post(f"{URL}/{id}/start").json()["result"]["status"] == "creating"
    history = api.get(f"{URL}/{id}/events").json()["result"]
    assert [event["reason"] for event in history] == ["Accepted", "StopAsked", "StartAsked"]
    unknown = f"{URL}/notebook_1_9999"
    answers = api.post(f"{unknown}/stop"), api.post(f"{unknown}/start"), api.get(f"{unknown}/events")
    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_a_cluster_that_is_still_needed_is_not_forgotten(api: httpx.Client) -> None:
    name = f"vm-{uuid.uuid4().hex[:8]}"
    assert api.post("/api/v1/cluster", json={"name": name, "address": "http://127.0.0.1:9"}).status_code == 200
    id = api.post(URL, json=notebook(cluster=name)).json()["result"]["notebookId"]
    refused = api.delete(f"/api/v1/cluster/{name}")
    assert refused.status_code == 409 and "still need" in refused.json()["message"]
    api.delete(f"{URL}/{id}")
    assert api.delete(f"/api/v1/cluster/{name}").status_code == 409  # its job may still have to be ended there


def test_pages(api: httpx.Client) -> None:
    owner = uuid.uuid4().hex
    made = []
    for _ in range(5):
        body = notebook()
        body["meta"]["ownerId"] = owner
        made.append(api.post(URL, json=body).json()["result"]["notebookId"])
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(URL, params={"id": owner, "limit": 2, "cursor": cursor}).json()
        found += [n["notebookId"] for n in page["result"]]
        cursor = page["attributes"]["nextCursor"]
    assert found == made


def test_a_notebook_that_does_not_run_says_so_to_programs_and_people(api: httpx.Client) -> None:
    url = api.post(URL, json=notebook()).json()["result"]["url"]
    program = api.get(url)
    assert program.status_code == 503 and "is creating" in program.json()["message"]
    person = api.get(url, headers={"Accept": "text/html"})
    assert person.status_code == 503 and "is creating" in person.text
    unknown = api.get("/notebook/default/no-such/lab")
    assert unknown.status_code == 404 and unknown.json()["status"] == "NOT_FOUND"
    assert api.get("/notebook/default/<script>/lab", headers={"Accept": "text/html"}).status_code == 404


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = build(Settings(home=tmp_path_factory.mktemp("closed"), token=TOKEN))  # type: ignore[arg-type]
    app.state.platform.database.migrate()  # and no more of its start: MLflow serves one home a process
    yield TestClient(app, base_url="http://127.0.0.1:32080", follow_redirects=False)


def test_a_browser_signs_in_once_and_a_program_sends_the_token(closed: TestClient) -> None:
    page = "/notebook/default/mine/lab"
    assert closed.get(page).status_code == 401
    sent = closed.get(page, headers={"Accept": "text/html"})
    assert sent.status_code == 303 and sent.headers["location"] == f"/login?next={page}"
    form = closed.get(sent.headers["location"])
    assert form.status_code == 200 and f'value="{page}"' in form.text
    assert closed.post("/login", data={"token": "open", "next": page}).status_code == 401
    signed_in = closed.post("/login", data={"token": TOKEN, "next": page})
    assert signed_in.status_code == 303 and signed_in.headers["location"] == page
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie and TOKEN not in cookie
    assert closed.get(page, headers={"Accept": "text/html"}).status_code == 404  # in, and there is no such notebook
    closed.cookies.clear()
    assert closed.get(page, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404
    assert closed.get(page, headers={"Cookie": "submarine_session=guessed"}).status_code == 401


def test_nobody_is_sent_elsewhere_by_the_login(closed: TestClient) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = closed.post("/login", data={"token": TOKEN, "next": target})
        assert answer.headers["location"] == "/"
    assert closed.post("/login", content=b"x" * 20_000).status_code == 413
    foreign = closed.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
