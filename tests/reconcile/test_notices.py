"""Notices of experiments on the engine: two control services write none twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.clusters.drivers.base import JobState
from submarine_ray.core import events
from submarine_ray.notices.listener import NOTICES
from submarine_ray.notices.tables import NoticeRow
from tests.reconcile import experiments
from tests.reconcile.experiments import World
from tests.reconcile.fakes import LEASE_MS


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    events.listen_with(NOTICES)
    with experiments.world(tmp_path, monkeypatch) as made:
        yield made


def told(world: World) -> list[tuple[str, str, str]]:
    with world.database.session() as session:
        return [(row.user, row.subject, row.outcome) for row in session.scalars(select(NoticeRow))]


def test_two_services_that_see_one_end_tell_of_it_once(world: World) -> None:
    act_for(Principal(PrincipalKind.ADMINISTRATOR, "token"))
    try:
        id = world.submit()
    finally:
        act_for(None)
    one, other = world.service("one"), world.service("other")
    one.work(2_000)
    assert told(world) == []
    there = world.played["one"]
    there.end(id, JobState.FAILED)

    def hang() -> None:
        there.looking = lambda: None
        world.now_ms += 2 * LEASE_MS  # its lease ends while it looks
        other.work()
        assert world.row(id).status == "Failed"

    there.looking = hang
    world.now_ms += LEASE_MS
    one.work(LEASE_MS)  # it goes on, and has seen the same end
    assert world.row(id).status == "Failed"
    assert told(world) == [("administrator", id, "Failed")]
