"""What the engine does after something broke in the middle: stepped by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from submarine_ray.core import leases
from submarine_ray.core.engine.backoff import MOST, Backoff
from submarine_ray.core.errors import DatabaseUnavailable
from tests.reconcile import fakes
from tests.reconcile.fakes import LEASE_MS, ThingRow, World
from tests.reconcile.scheduler import Faults


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fakes.world(tmp_path) as made:
        yield made


def test_a_row_that_cannot_be_written_is_tried_ever_later_and_told_once(world: World) -> None:
    service = world.service("a")
    world.add("bad", "good")

    def writing(key: str) -> None:
        if key == "bad":
            raise ValueError("no such column")

    service.feature.writing = writing
    pauses = []
    for _ in range(5):
        service.work()
        due = world.rows()["bad"].next_check_ms or 0
        pauses.append(due - world.now_ms)
        world.now_ms = due
    assert world.statuses() == {"bad": "asked", "good": "made"}
    assert pauses == sorted(pauses) and pauses[-1] > 20_000
    assert len(service.feature.told) == 1


def test_what_was_told_while_the_database_was_away_is_looked_at_later(world: World) -> None:
    service = world.service("a")
    world.add("x", status="made")
    with world.database.session(write=True) as session:
        session.get_one(ThingRow, "x").next_check_ms = world.now_ms + 600_000
    service.engine.changes.put_back(["x"])
    Faults(world.database).arm(1, is_after=False)  # the statement after BEGIN
    with pytest.raises(DatabaseUnavailable):
        service.tick()
    service.work()
    assert world.clusters["one"].calls == [("x", "made")]


def test_a_clock_that_was_set_is_dealt_with_although_the_transaction_failed(world: World) -> None:
    one, other = world.service("a"), world.service("b")
    world.add("x")
    one.tick()
    lessee = other.engine._lessee
    with world.database.session() as session:
        leases.agreed_ms(session, ThingRow, lessee)
    lessee.clock.agree(world.now_ms + 60_000)
    with pytest.raises(ZeroDivisionError), world.database.session() as session:
        leases.agreed_ms(session, ThingRow, lessee)
        raise ZeroDivisionError
    other.tick()
    assert (world.rows()["x"].lock_token or "").startswith("a:")


def test_a_library_that_exits_the_thread_leaves_no_row_in_hand(world: World) -> None:
    service = world.service("a")
    world.add("x")

    def exits(_key: str) -> None:
        world.clusters["one"].making = lambda _key: None
        raise SystemExit(1)

    world.clusters["one"].making = exits
    service.work()
    service.work()
    assert world.statuses() == {"x": "made"} and service.engine._hand.keys() == []


def test_a_heartbeat_during_the_last_write_reports_no_lost_lease(world: World) -> None:
    service = world.service("a")
    world.add("x")
    lost: list[set[str]] = []
    service.feature.written = lambda row, outcome: lost.append(service.engine._hand.renew())  # type: ignore[method-assign]
    service.work()
    assert lost and not any(lost)


def test_a_clock_set_back_while_a_service_is_stopped_gives_it_no_more_time(world: World) -> None:
    service = world.service("a")
    world.add("x")
    service.tick()
    service.engine._lessee.clock.agree(world.now_ms - 3_600_000)
    world.now_ms += LEASE_MS + 1
    assert not service.engine._hand.holds("x")


def test_failures_of_rows_that_are_gone_are_forgotten() -> None:
    backoff = Backoff()
    for number in range(MOST + 1):
        backoff.failed(f"row-{number}")
    backoff.failed("row-5")
    assert not backoff.succeeded("row-0") and backoff.succeeded("row-5")


def test_a_row_that_never_settles_is_taken_ever_more_rarely(world: World) -> None:
    service = world.service("a")
    world.add("restless", "good")
    world.clusters["one"].forgets = {"restless"}
    for _ in range(300):
        service.work()
        world.now_ms += 1_000
    calls = [key for key, _ in world.clusters["one"].calls]
    assert calls.count("good") == 1 and 15 < calls.count("restless") < 50
    world.clusters["one"].forgets = set()
    for _ in range(2):  # the step, and the look that finds what it has done
        world.now_ms += 60_000
        service.work()
    assert set(world.statuses().values()) == {"made"}
