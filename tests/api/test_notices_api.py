"""Notices over REST: written with their event, for those whom it concerns, and read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core import events
from submarine_ray.core.events import Event
from submarine_ray.notices import repository
from submarine_ray.notices.tables import NoticeRow
from submarine_ray.platform import Platform
from submarine_ray.spec.notices import NoticeKind, NoticeSettings
from submarine_ray.spec.saved import Audience
from tests.conftest import spec

URL = "/api/v1/notice"


@pytest.fixture
def platform(api: httpx.Client) -> Platform:
    return api.app.state.platform  # type: ignore[attr-defined,no-any-return]


@contextmanager
def user(name: str) -> Iterator[None]:
    act_for(Principal(PrincipalKind.ATTEMPT, name))
    try:
        yield
    finally:
        act_for(None)


def experiment(api: httpx.Client, name: str) -> str:
    made = api.post("/api/v1/experiment", json=spec(meta={"name": name, "framework": "Python", "cmd": "true"}))
    return str(made.json()["result"]["experimentId"])


def happen(platform: Platform, subject: str, *told: Event) -> None:
    """As an engine writes it."""
    with platform.database.session(write=True) as session:
        events.record(session, subject, told)


def notices(api: httpx.Client, subject: str, **asked: Any) -> list[dict[str, Any]]:
    answer = api.get(URL, params={"limit": 200, **asked})
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["result"] if subject in one["path"]]


def unread(api: httpx.Client) -> int:
    return int(api.get(URL).json()["attributes"]["unread"])


FAILED = Event("ReplicaFailed", "worker-0 exited with 1", "Running", "Failed")


def test_who_made_an_experiment_is_told_how_it_ended(api: httpx.Client, platform: Platform) -> None:
    id = experiment(api, "told-of")
    before = unread(api)
    happen(platform, id, Event("Running", "", "Created", "Running"))
    assert notices(api, id) == []
    happen(platform, id, FAILED)
    (one,) = notices(api, id)
    assert (one["kind"], one["name"], one["status"], one["read"]) == ("experiment", "told-of", "Failed", False)
    assert one["message"] == FAILED.message and one["path"] == f"/experiments/{id}"
    assert unread(api) == before + 1
    for _ in range(2):
        assert api.post(f"{URL}/{one['id']}/read").status_code == 200
    assert unread(api) == before and notices(api, id)[0]["read"]
    assert notices(api, id, before=one["id"]) == []


def test_a_notice_is_kept_only_with_its_event(api: httpx.Client, platform: Platform) -> None:
    id = experiment(api, "rolled-back")
    with pytest.raises(RuntimeError), platform.database.session(write=True) as session:
        events.record(session, id, [FAILED])
        raise RuntimeError
    assert notices(api, id) == []


def test_a_users_own_stop_is_no_news(api: httpx.Client, platform: Platform) -> None:
    id = experiment(api, "stopped-by-me")
    happen(platform, id, Event("Stopped", "Stopped by the user.", "Running", "Failed"))
    assert [(one["status"], one["read"]) for one in notices(api, id)] == [("Stopped", True)]


def test_all_are_read_at_once(api: httpx.Client, platform: Platform) -> None:
    for number in range(3):
        happen(platform, experiment(api, f"many-{number}"), FAILED)
    assert unread(api) >= 3
    assert api.post(f"{URL}/read").status_code == 200
    assert unread(api) == 0


def test_an_endpoint_is_told_of_when_it_fails_and_when_it_is_well_again(platform: Platform) -> None:
    subject, mine = f"endpoint:m-{uuid.uuid4().hex[:6]}-1", uuid.uuid4().hex
    with user(mine):
        happen(platform, subject, Event("Asked", "", None, "Creating"))
    running, failed = Event("Running", "", "Creating", "Running"), Event("Failed", "no memory", "Running", "Failed")
    again = Event("Creating", "", "Failed", "Creating")
    for event in (running, failed, again, running):
        happen(platform, subject, event)
    with user(mine):
        found, _ = platform.notices.list()
        assert [(one.status, one.path) for one in found] == [
            ("Running", f"/endpoints/{subject[9:-2]}/1"), ("Failed", f"/endpoints/{subject[9:-2]}/1"),
        ]  # fmt: skip
    with platform.database.session(write=True) as session:
        events.forget(session, subject)
    with user(mine):
        assert platform.notices.list()[0] == []


def test_what_is_shared_is_told_to_others(platform: Platform) -> None:
    mine, other = uuid.uuid4().hex, uuid.uuid4().hex
    for name in (mine, other):
        with user(name):
            happen(platform, f"experiment-{name}", Event("Accepted", "", None, "Accepted"))
    with user(mine):
        happen(platform, "saved:experiment-view:7", Event("Shared", "mine shared the view 'best'", None, "team"))
        assert platform.notices.list()[0] == []
    with user(other):
        (one,) = platform.notices.list()[0]
        assert one.kind == "shared" and one.path == "/experiments?view=7" and "best" in one.message


def test_saving_tells_others_of_what_is_shared_and_takes_it_back(platform: Platform) -> None:
    mine, other = uuid.uuid4().hex, uuid.uuid4().hex
    with user(other):
        happen(platform, f"experiment-{other}", Event("Accepted", "", None, "Accepted"))
    with user(mine):
        own = platform.saved.create("experiment-view", "lowest loss", {})
        platform.saved.change(own.id, name="lowest")
        platform.saved.change(own.id, audience=Audience.TEAM)
        platform.saved.change(own.id, audience=Audience.TEAM)  # it is shared already
    with user(other):
        (one,) = platform.notices.list()[0]
        assert one.name == "lowest" and "'lowest'" in one.message and one.path == f"/experiments?view={own.id}"
    with user(mine):
        platform.saved.delete(own.id)
    with user(other):
        assert platform.notices.list()[0] == []


def test_kinds_are_chosen(api: httpx.Client, platform: Platform) -> None:
    subject, mine = f"experiment-{uuid.uuid4().hex}", uuid.uuid4().hex
    with user(mine):
        happen(platform, subject, Event("Accepted", "", None, "Accepted"))
        platform.notices.change_settings(NoticeSettings(kinds=[NoticeKind.SHARED]))
        assert platform.notices.settings().kinds == [NoticeKind.SHARED]
    happen(platform, subject, FAILED)
    with user(mine):
        assert platform.notices.list()[0] == []
    everything = ["experiment", "notebook", "endpoint", "shared"]
    assert api.get(f"{URL}/settings").json()["result"]["kinds"] == everything
    assert api.put(f"{URL}/settings", json={"kinds": ["nope"]}).status_code == 400
    assert api.put(f"{URL}/settings", json={"kinds": everything}).json()["result"]["kinds"] == everything


def test_old_notices_go(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = uuid.uuid4().hex
    monkeypatch.setattr(repository, "MOST", 3)
    fields = {"user": mine, "kind": "experiment", "subject": "experiment-1", "outcome": "Failed", "message": "m"}
    with platform.database.session(write=True) as session:
        session.add_all(NoticeRow(time_ms=2**50, is_read=False, **fields) for _ in range(5))
        session.add(NoticeRow(time_ms=1, is_read=False, **fields))
    platform.notices.prune()
    assert platform.notices.unread(mine) == 2  # of the newest three one was too old


@pytest.mark.parametrize("path", ["?limit=0", "?limit=201", "?before=0", "?before=x"])
def test_wrong_requests_are_refused(api: httpx.Client, path: str) -> None:
    assert api.get(f"{URL}{path}").status_code == 400
    assert api.post(f"{URL}/0/read").status_code == 400
