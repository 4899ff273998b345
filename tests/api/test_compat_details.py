"""Details of Submarine's interface that its published SDK and command rely on."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.conftest import spec

TAGS = ("x" * 256, "ü, 鯨!", "a//b", "plain", "true", "sha256:no hash")


@pytest.mark.parametrize("of", ["environment", "template", "registered-model", "experiment"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"colour": "red"}', b'{"name": "other"}', b""])
def test_changing_what_is_unknown_is_404_whatever_the_body(api: httpx.Client, of: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = api.patch(f"/api/v1/{of}/no-such-thing", content=body, headers=headers)
    assert answer.status_code == 404, answer.text
    assert answer.json()["status"] == "NOT_FOUND"


def test_a_wrong_change_of_what_is_there_is_400(api: httpx.Client) -> None:
    assert api.post("/api/v1/environment", json={"name": "there"}).status_code == 200
    assert api.patch("/api/v1/environment/there", json={"colour": "red"}).status_code == 400
    assert api.patch("/api/v1/environment/there", json={"description": "d"}).status_code == 200


def test_tags_of_experiments_and_models_are_kept_as_they_are(api: httpx.Client) -> None:
    made = api.post("/api/v1/experiment", json=spec(meta=dict(spec()["meta"], tags=[*TAGS])))
    assert made.status_code == 200, made.text
    id = made.json()["result"]["experimentId"]
    for tag in TAGS:
        found = api.get("/api/v1/experiment", params={"tag": tag}).json()["result"]
        assert [one["experimentId"] for one in found] == [id], tag
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    assert api.post("/api/v1/registered-model", json={"name": name, "tags": [*TAGS[:3]]}).status_code == 200
    for tag in TAGS[3:]:
        assert api.post("/api/v1/registered-model/tag", params={"name": name, "tag": tag}).status_code == 200

    def tags() -> Any:
        return api.get(f"/api/v1/registered-model/{name}").json()["result"]["tags"]

    assert tags() == sorted(TAGS)
    for tag in TAGS:
        assert api.delete("/api/v1/registered-model/tag", params={"name": name, "tag": tag}).status_code == 200
        assert tag not in tags()
    answer = api.post("/api/v1/registered-model/tag", params={"name": name, "tag": "x" * 257})
    assert answer.status_code == 400 and "1 to 256 printable characters" in answer.json()["message"]


def test_the_published_command_lists_every_owners_notebooks(api: httpx.Client) -> None:
    found = {}
    for owner in ("somebody", "e9ca23d68d884d4ebb19d07889727dae", None):
        document = {
            "meta": {"name": f"n-{uuid.uuid4().hex[:8]}", **({"ownerId": owner} if owner else {})},
            "environment": {"name": "notebook-env"},
            "spec": {"resources": "cpu=1"},
        }
        made = api.post("/api/v1/notebook", json=document)
        assert made.status_code == 200, made.text
        found[owner] = made.json()["result"]["notebookId"]

    def listed(owner: str) -> list[str]:
        return [one["notebookId"] for one in api.get("/api/v1/notebook", params={"id": owner}).json()["result"]]

    assert set(found.values()) <= set(listed("4291d7da9005377ec9aec4a71ea837f"))
    assert listed("somebody") == [found["somebody"]]
    for notebook in found.values():
        api.delete(f"/api/v1/notebook/{notebook}")
