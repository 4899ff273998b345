"""Searches, favourites and what was opened last, over REST."""

from __future__ import annotations

import uuid
from itertools import count
from typing import Any

import httpx
import pytest

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.platform import Platform
from submarine_ray.search import repository, service
from submarine_ray.spec.places import ObjectKind
from tests.conftest import spec

URL = "/api/v1/search"


@pytest.fixture
def mark() -> str:
    """A word of a test's own things."""
    return f"q{uuid.uuid4().hex[:7]}"


def experiment(api: httpx.Client, name: str, *tags: str) -> str:
    body = spec(meta={"name": name, "framework": "Python", "cmd": "true", "tags": list(tags)})
    answer = api.post("/api/v1/experiment", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["experimentId"])


def found(api: httpx.Client, text: str, **asked: Any) -> list[dict[str, Any]]:
    answer = api.get(URL, params={"text": text, **asked})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["result"])


def names(api: httpx.Client, text: str, **asked: Any) -> list[str]:
    return [one["name"] for one in found(api, text, **asked)]


def test_prefixes_come_before_words_and_these_before_parts(api: httpx.Client, mark: str) -> None:
    for name in (f"x{mark}y-first", f"big-{mark}", f"{mark}-small", f"other-{mark[1:]}"):
        experiment(api, name)
    assert names(api, mark) == [f"{mark}-small", f"big-{mark}", f"x{mark}y-first"]
    assert names(api, f"{mark} BIG") == [f"big-{mark}"]  # all words, in any order and case
    assert names(api, f"{mark[2:]} sma") == [f"{mark}-small"]
    assert names(api, f"{mark} nowhere") == [] == names(api, "--- %")
    assert len(names(api, mark, limit=2)) == 2


def test_experiments_are_found_by_tag_and_by_id(api: httpx.Client, mark: str) -> None:
    id = experiment(api, "tagged", f"team {mark}")
    (one,) = found(api, mark)
    assert one["name"] == "tagged" and one["path"] == f"/experiments/{id}" and mark in one["detail"]
    assert one["kind"] == "experiment" and one["status"] == "Accepted"
    assert [one["key"] for one in found(api, id, kind="experiment")] == [id]
    assert id in [one["key"] for one in found(api, id[:-2], kind="experiment", limit=50)]


def test_changes_of_names_and_tags_and_deletions_are_followed(api: httpx.Client, mark: str) -> None:
    id = experiment(api, "plain")
    whole = api.get(f"/api/v1/experiment/{id}").json()["result"]["spec"]
    whole["meta"] |= {"name": f"renamed-{mark}", "tags": []}
    assert api.patch(f"/api/v1/experiment/{id}", json=whole).status_code == 200
    assert names(api, mark) == [f"renamed-{mark}"]
    api.delete(f"/api/v1/experiment/{id}")
    assert names(api, mark) == []


def test_each_kind_is_searched(api: httpx.Client, mark: str) -> None:
    experiment(api, f"e-{mark}")
    api.post("/api/v1/environment", json={"name": f"env-{mark}"})
    model = f"model-{mark}"
    assert api.post("/api/v1/registered-model", json={"name": model}).status_code == 200
    api.post("/api/v1/saved/experiment-view", json={"name": f"view {mark}", "document": {}})
    assert [one["name"] for one in found(api, mark, kind="experiment-view")] == [f"view {mark}"]
    kinds = {one["kind"]: one["path"] for one in found(api, mark)}
    assert kinds == {
        "experiment": kinds["experiment"], "experiment-view": kinds["experiment-view"], "environment": "/environments", "model": f"/models/{model}",
    }  # fmt: skip
    assert [one["kind"] for one in found(api, mark, kind="model")] == ["model"]
    assert "local" in names(api, "local", kind="cluster")
    assert any(one["path"].startswith("/templates/") for one in found(api, "mnist", kind="template"))
    assert found(api, f"{model} 1", kind="model-version") == []  # it has no version yet


@pytest.mark.parametrize("text", ["'", '"; DROP', "%", "\x00", "é", "a" * 200, "日本", "_", "1 2 3 4 5 6 7 8 9"])
def test_odd_texts_find_nothing_and_break_nothing(api: httpx.Client, text: str) -> None:
    assert api.get(URL, params={"text": text}).status_code == 200


def test_wrong_requests_are_refused(api: httpx.Client) -> None:
    assert api.get(URL).status_code == 400
    assert api.get(URL, params={"text": "a" * 201}).status_code == 400
    assert api.get(URL, params={"text": "a", "kind": "nope"}).status_code == 400
    assert api.put("/api/v1/favourite/cluster/local").status_code == 400
    assert api.put("/api/v1/favourite/experiment/nope").status_code == 404
    assert api.put(f"/api/v1/favourite/model/{'m' * 161}").status_code == 400


def test_two_requests_may_mark_a_thing_at_once(api: httpx.Client, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    star = f"/api/v1/favourite/experiment/{experiment(api, mark)}"
    assert api.put(star).status_code == 200
    find, looks = repository._find, count()
    # At the first look the other has not written yet.
    monkeypatch.setattr(repository, "_find", lambda *asked: find(*asked) if next(looks) else None)
    assert api.put(star).status_code == 200 and next(looks) == 2


def test_favourites_come_first_and_are_marked(api: httpx.Client, mark: str) -> None:
    ids = [experiment(api, f"{mark}-{number}") for number in range(2)]
    star = f"/api/v1/favourite/experiment/{ids[0]}"
    for _ in range(2):  # asking again is no error
        assert api.put(star).status_code == 200
    assert {one["key"]: one["starred"] for one in found(api, mark)} == {ids[0]: True, ids[1]: False}
    shown = api.get("/api/v1/recent").json()["result"]
    assert shown["starred"][0]["key"] == ids[0] and shown["starred"][0]["name"] == f"{mark}-0"
    for _ in range(2):
        assert api.delete(star).status_code == 200
    assert ids[0] not in [one["key"] for one in api.get("/api/v1/recent").json()["result"]["starred"]]


def test_what_was_opened_last_is_kept_by_user(api: httpx.Client, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count(1)
    monkeypatch.setattr(service, "now_ms", lambda: next(times))
    platform: Platform = api.app.state.platform  # type: ignore[attr-defined]
    ids = [experiment(api, f"{mark}-{number}") for number in range(3)]
    act_for(Principal(PrincipalKind.ATTEMPT, mark))  # a user of this test's own
    try:
        for id in (*ids, ids[0]):
            platform.search.note_opened(ObjectKind.EXPERIMENT, id)
        platform.search.note_opened(ObjectKind.CLUSTER, "gone")
        assert [one.key for one in platform.search.opened().recent] == [ids[0], ids[2], ids[1]]
        platform.search.star(ObjectKind.EXPERIMENT, ids[2], wanted=True)
        shown = platform.search.opened()
        assert [one.key for one in shown.starred] == [ids[2]] and [one.key for one in shown.recent] == [ids[0], ids[1]]
        act_for(Principal(PrincipalKind.ATTEMPT, f"{mark} else"))
        assert platform.search.opened().recent == []
    finally:
        act_for(None)
