"""Saved documents over REST, and who sees and changes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from submarine_ray.access.acting import act_for, acting_user
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, Forbidden, NotFound
from submarine_ray.saved import service as saved_service
from submarine_ray.saved.kinds import VIEWS
from submarine_ray.saved.service import SavedService, read
from submarine_ray.spec.saved import Audience
from submarine_ray.spec.views import DefaultView, ExperimentView

URL = f"/api/v1/saved/{VIEWS}"
DOCUMENT = {"filter": "metrics.loss < 0.1", "column": ["status", "metrics.loss"]}
ANNA = Principal(PrincipalKind.ADMINISTRATOR, "token")
BEN = Principal(PrincipalKind.ENDPOINT, "ben")  # not an administrator: another user


def test_create_list_get_change_and_delete(api: httpx.Client) -> None:
    made = api.post(URL, json={"name": " Low loss ", "document": DOCUMENT}).json()["result"]
    assert made["name"] == "Low loss" and made["audience"] == "private" and made["isOwn"]
    assert made["owner"] == "administrator" and made["document"]["column"] == ["status", "metrics.loss"]
    one = f"{URL}/{made['id']}"
    assert api.get(one).json()["result"] == made
    assert made in api.get(URL).json()["result"]
    assert api.post(URL, json={"name": "Low loss", "document": {}}).status_code == 409
    changed = api.patch(one, json={"name": "Lower", "audience": "team"}).json()["result"]
    assert (changed["name"], changed["audience"], changed["document"]) == ("Lower", "team", made["document"])
    assert api.patch(one, json={"document": {"q": "x"}}).json()["result"]["document"]["q"] == "x"
    other = api.post(URL, json={"name": "other", "document": {}}).json()["result"]["id"]
    assert api.patch(f"{URL}/{other}", json={"name": "Lower"}).status_code == 409
    assert api.delete(one).json()["result"]["name"] == "Lower" and api.delete(f"{URL}/{other}").is_success
    assert api.get(one).status_code == api.delete(one).status_code == api.patch(one, json={}).status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"document": {}}, "name: is required"),
        ({"name": " ", "document": {}}, "name: a name has"),
        ({"name": "x\u0007", "document": {}}, "name: a name has"),
        ({"name": "x" * 121, "document": {}}, "name: "),
        ({"name": "x"}, "document: is required"),
        ({"name": "x", "document": {"colour": "red"}}, "document: colour: is not a known field"),
        ({"name": "x", "document": {"filter": 3}}, "document: filter: must be text"),
        ({"name": "x", "document": {}, "audience": "world"}, "audience: "),
        ({"name": "x", "document": {"column": ["x" * 260] * 51}}, "document: column: "),
    ],
)
def test_what_is_wrong_is_said(api: httpx.Client, body: dict[str, object], said: str) -> None:
    answer = api.post(URL, json=body)
    assert answer.status_code == 400 and said in answer.json()["message"], answer.text


def test_an_unknown_kind_is_refused_with_those_there_are(api: httpx.Client) -> None:
    for answer in (api.get("/api/v1/saved/nope"), api.post("/api/v1/saved/nope", json={"name": "x", "document": {}})):
        assert answer.status_code == 404 and VIEWS in answer.json()["message"]
    made = api.post(URL, json={"name": "of a kind", "document": {}}).json()["result"]["id"]
    assert api.get(f"/api/v1/saved/experiment-view-default/{made}").status_code == 404
    assert api.delete(f"{URL}/{made}").is_success


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[SavedService]:
    database = Database(f"sqlite:///{tmp_path}/saved.db")
    database.migrate()
    yield SavedService(database)
    act_for(None)
    database.close()


def test_private_documents_are_their_owners_and_shared_ones_are_read_by_all(saved: SavedService) -> None:
    act_for(ANNA)
    mine = saved.create(VIEWS, "mine", ExperimentView(q="a"))
    ours = saved.create(VIEWS, "ours", {"q": "b"}, Audience.TEAM)
    act_for(BEN)
    assert [(one.name, one.is_own) for one in saved.list(VIEWS)] == [("ours", False)]
    assert saved.get(ours.id).document["q"] == "b"
    for act in (saved.get, saved.delete):
        with pytest.raises(NotFound):
            act(mine.id)
    with pytest.raises(Forbidden, match="save a copy"):
        saved.change(ours.id, name="Ben's")
    with pytest.raises(Forbidden):
        saved.delete(ours.id)
    saved.create(VIEWS, "mine", {})  # another owner may use the name
    act_for(ANNA)
    saved.change(ours.id, audience=Audience.PRIVATE)
    act_for(BEN)
    assert [one.name for one in saved.list(VIEWS)] == ["mine"]


def test_however_an_administrator_signs_in_the_documents_are_the_same() -> None:
    names = set()
    for kind, name in ((PrincipalKind.ADMINISTRATOR, "link"), (PrincipalKind.ADMINISTRATOR, "user 1000 of this machine"),
                       (PrincipalKind.NOTEBOOK, "notebook-1")):  # fmt: skip
        act_for(Principal(kind, name))
        names.add(acting_user())
    act_for(None)
    assert names == {"administrator"} and acting_user() == "service"


def test_there_is_a_limit_of_size_and_of_number(saved: SavedService, monkeypatch: pytest.MonkeyPatch) -> None:
    act_for(ANNA)
    with pytest.raises(ValueError, match="at most"):
        ExperimentView(column=["x" * 300])
    monkeypatch.setattr(saved_service, "MOST_BYTES", 200)
    with pytest.raises(Exception, match=r"document: has .* bytes; a saved document has at most 200"):
        saved.create(VIEWS, "large", {"q": "x" * 200})
    monkeypatch.setattr(saved_service, "MOST_BYTES", 64_000)
    monkeypatch.setattr(saved_service, "MOST", 1)
    one = saved.create(VIEWS, "first", {"q": "x"})
    with pytest.raises(Conflict, match="delete some"):
        saved.create(VIEWS, "second", {})
    assert read(one, ExperimentView) == ExperimentView(q="x") and read(one, DefaultView) is None
