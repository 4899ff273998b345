"""What the engine does beside its invariants: when it wakes, what it logs and counts, and how it stops. Stepped by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from submarine_ray.core.engine import metrics
from submarine_ray.core.engine.engine import Bounds
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.lanes import SLOW_MS
from tests.reconcile import fakes
from tests.reconcile.fakes import LEASE_MS, Service, ThingRow, World
from tests.reconcile.scheduler import Faults


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fakes.world(tmp_path) as made:
        yield made


def wakes(service: Service) -> list[tuple[float, ...]]:
    """In how many seconds the loop is asked to tick again; without a number at once."""
    asked: list[tuple[float, ...]] = []
    service.engine.loop.wake = lambda *seconds: asked.append(seconds)  # type: ignore[method-assign]
    return asked


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(_c: object, _cursor: object, statement: str, *_: object) -> None:
        heard.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", hear)
    yield heard
    event.remove(world.database.engine, "before_cursor_execute", hear)


def test_a_result_that_is_due_wakes_the_loop_when_it_is(world: World) -> None:
    service = world.service("a")
    world.add("x")
    asked = wakes(service)

    def later(_row: ThingRow, _outcome: Outcome) -> None:
        world.now_ms += 5

    service.feature.written = later  # type: ignore[method-assign]
    service.work()
    assert asked == [(0.0,)]  # after the step; the note after it leaves the row at rest
    world.desire("x", "other")
    service.feature.perform = lambda row, step, observed: Outcome({"next_check_ms": world.now_ms + 2_005})  # type: ignore[method-assign]
    service.work()
    assert asked == [(0.0,), (2.0,)]


def test_a_desire_that_changes_meanwhile_wakes_the_loop_at_once(world: World) -> None:
    service = world.service("a")
    world.add("x")
    asked = wakes(service)
    world.clusters["one"].making = lambda key: world.desire(key, "other")
    service.tick()
    service.workers.run()
    assert asked == [()]


def test_a_worker_that_is_free_again_wakes_the_loop_if_rows_were_passed_over(world: World) -> None:
    service = world.service("a", Bounds(looks=1, looks_of_cluster=1))
    world.add("x")
    world.add("y", cluster="two")
    asked = wakes(service)
    assert service.tick() == SLOW_MS / 1000  # no worker is free
    service.workers.work.pop(0)()
    assert asked == [()]


def test_a_tick_says_when_the_next_is_worth_it(world: World) -> None:
    service = world.service("a")
    assert service.tick() == 60
    world.add("x", next_check_ms=world.now_ms + 500)
    assert service.tick() == 0.5
    world.now_ms += 495
    assert service.tick() == 0.02
    world.now_ms += 5
    world.clusters["one"].is_away = True
    service.tick()
    service.workers.run()
    assert 0.7 < service.tick() < 1.3  # the cluster is asked again then, and its row is due already
    with world.database.session(write=True) as session:
        session.get_one(ThingRow, "x").next_check_ms = None
    world.now_ms += 60_000
    assert service.tick() == 60  # nobody waits for the cluster any more


def test_clusters_are_passed_over_while_their_workers_are_busy_or_they_are_away(world: World) -> None:
    service = world.service("a", Bounds(batch=2, looks=8, looks_of_cluster=1, steps_of_cluster=1))
    for cluster in ("looks", "steps", "away"):
        world.add(*(f"{cluster}-{number}" for number in range(3)), cluster=cluster)
    world.clusters["away"].is_away = True
    service.tick()
    while len(service.workers.work) > 2:
        service.workers.work.pop(0)()
    for _number in range(2):
        service.engine._steps.put("steps", lambda: None)
        service.engine._looks.put("looks", lambda: None)
    for _ in range(2):
        service.engine._steps.put("steps", lambda: None)
    assert service.engine._full() >= {"looks", "steps"}
    service.workers.run()
    assert service.engine._full() == {"away"}


@pytest.mark.parametrize(("failure", "tries"), [(ValueError("ours"), 1), (fakes.Away("half of it is away"), 3)])
def test_a_mistake_is_told_at_once_and_what_may_pass_later(world: World, failure: Exception, tries: int) -> None:
    service, told = world.service("a"), list[int]()
    service.feature.poisoned["x"] = failure
    world.add("x")
    for _ in range(5):
        service.work()
        world.now_ms += 400_000
        told.append(len(service.feature.told))
    assert told == [int(number >= tries) for number in range(1, 6)]


def test_a_step_that_breaks_is_tried_later_and_told_at_once(world: World) -> None:
    service = world.service("a")
    world.add("x", "y")

    def broken(key: str) -> None:
        if key == "x":
            raise ValueError("ours")

    world.clusters["one"].making = broken
    service.work()
    assert world.statuses() == {"x": "asked", "y": "made"}
    row = world.rows()["x"]
    assert row.lock_token is None and (row.next_check_ms or 0) > world.now_ms
    assert [key for key, _ in service.feature.told] == ["x"]


def test_a_step_that_succeeds_ends_the_count_of_failures(world: World) -> None:
    service, pauses = world.service("a"), list[int]()
    world.add("x")
    world.clusters["one"].forgets = {"x"}  # so that the row does not come to rest
    for number in range(6):
        service.feature.poisoned = {} if number == 4 else {"x": fakes.Away("half of it is away")}
        service.tick()
        while service.workers.work:
            service.workers.work.pop(0)()
        due = world.rows()["x"].next_check_ms or 0
        pauses.append(due - world.now_ms)
        world.now_ms = due
    assert pauses[:4] == sorted(pauses[:4]) and pauses[5] < pauses[2]


def test_a_heartbeat_comes_three_times_a_lease(world: World) -> None:
    engine, waited = world.service("a").engine, list[float]()

    class Stopping:
        def wait(self, seconds: float) -> bool:
            waited.append(seconds)
            return len(waited) > 1

    engine._stopping = Stopping()  # type: ignore[assignment]
    engine._beat_on()
    assert waited == [LEASE_MS / 3000] * 2


@pytest.mark.parametrize("failure", [DatabaseUnavailable("away"), ZeroDivisionError()])
def test_a_heartbeat_that_fails_is_not_the_last(world: World, failure: Exception) -> None:
    engine, beats = world.service("a").engine, list[str]()

    def beat() -> None:
        beats.append("beat")
        if len(beats) > 1:
            engine._stopping.set()
        raise failure from OSError("refused")

    engine._lessee = engine._lessee.__class__("a", 3)
    engine.heartbeat = beat  # type: ignore[method-assign]
    with capture_logs() as logs:
        engine._beat_on()
    said = "reconcile.no_heartbeat" if isinstance(failure, DatabaseUnavailable) else "reconcile.heartbeat_failed"
    assert [line["event"] for line in logs] == [said] * 2
    assert {line.get("why", "refused") for line in logs} == {"refused"}


def test_an_outage_of_a_cluster_is_logged_once_and_wakes_nobody(world: World) -> None:
    service = world.service("a")
    world.add("x")
    world.clusters["one"].is_away = True
    asked = wakes(service)
    with capture_logs() as logs:
        for _ in range(5):
            service.work()
            world.now_ms += 10_000
            assert [line["event"] for line in logs] == ["reconcile.cluster_away"]
        assert asked == []
        world.clusters["one"].is_away = False
        service.work()
    assert [line["event"] for line in logs] == ["reconcile.cluster_away", "reconcile.cluster_back"]


def test_failures_are_counted_by_their_reason(world: World) -> None:
    def counts() -> list[float]:
        return [metrics.FAILURES.labels("things", why)._value.get() for why in ("cluster", "world", "mistake")]

    service = world.service("a")
    before = counts()
    for failure in (fakes.Away("half of it is away"), ValueError("ours"), ValueError("ours")):
        key = f"x{len(world.rows())}"
        service.feature.poisoned[key] = failure
        world.add(key)
        with capture_logs() as logs:
            service.work()
        said = (
            ("reconcile.step_failed", "warning")
            if isinstance(failure, fakes.Away)
            else ("reconcile.step_broken", "error")
        )
        assert [(line["event"], line["log_level"]) for line in logs] == [said]
    world.add("y", cluster="two")
    world.clusters["two"].is_away = True
    service.work()
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [1, 1, 2]


@pytest.mark.parametrize("where", ["looking", "making"])
def test_a_database_that_fails_in_a_look_or_a_step_is_no_failure_of_the_row(world: World, where: str) -> None:
    service = world.service("a")
    world.add("x", "y")

    def away(_of: object) -> None:
        raise DatabaseUnavailable("away") from OSError("refused")

    setattr(world.clusters["one"], where, away)
    with capture_logs() as logs:
        service.tick()
        service.workers.run()
    assert {(line["event"], line["why"]) for line in logs} == {("reconcile.stranded", "refused")}
    assert service.engine._hand.keys() == []
    setattr(world.clusters["one"], where, lambda _of: None)
    service.work()  # at once: nothing is put off
    assert world.statuses() == {"x": "made", "y": "made"} and service.feature.told == []
    with statements(world) as heard:
        service.tick()
    assert len([one for one in heard if not one.startswith("BEGIN")]) == 2  # what was stranded is forgotten


def test_rows_of_a_cluster_that_is_away_are_free_again_although_the_database_failed(world: World) -> None:
    service = world.service("a")
    world.add("x")
    world.clusters["one"].is_away = True
    service.tick()
    Faults(world.database).arm(1, is_after=False)  # the statement that gives back
    with capture_logs() as logs:
        service.workers.run()
    assert [line["event"] for line in logs] == ["reconcile.cluster_away", "reconcile.stranded"]
    service.tick()
    assert world.rows()["x"].lock_token is None


def test_whoever_writes_takes_the_write_lock_first(world: World) -> None:
    """SQLite refuses a transaction that has read, and then writes beside another."""
    service = world.service("a")
    world.add("x", "y", "z")
    world.add("away", cluster="two")
    world.clusters["two"].is_away = True
    with statements(world) as heard:
        service.engine.start()
        service.engine.stop()
        service.work()
        service.engine.heartbeat()
        world.desire("x", "other")
        service.tick()
        service.engine.heartbeat()
        service.engine.changes.put_back(["y"])
        service.tick()
        service.workers.shutdown = lambda *_, **__: None  # type: ignore[method-assign]
        service.engine.stop(patience=0.1)
    begun, writes = "", set[str]()
    for statement in heard:
        if statement.startswith("BEGIN"):
            begun = statement
        elif not statement.startswith("SELECT"):
            writes.add(begun)
    assert writes == {"BEGIN IMMEDIATE"}


def test_a_service_that_never_started_stops_and_frees_its_rows(world: World) -> None:
    service = world.service("a")
    world.add("x", "y")
    service.tick()
    service.workers.shutdown = lambda *_, **__: None  # type: ignore[method-assign]
    service.engine.stop(patience=0.1)
    assert [row.lock_token for row in world.rows().values()] == [None, None]
    assert service.engine._hand.keys() == [] and world.clusters["one"].calls == []


def test_a_look_that_hangs_keeps_no_step_in_line_while_the_service_stops(world: World) -> None:
    service, going = world.service("a", Bounds(steps_of_cluster=1)), threading.Event()
    world.add("x", "y", "z")
    service.tick()
    service.workers.work.pop(0)()  # the look: one step has begun, two wait in line
    service.workers.shutdown = lambda wait, **_: going.wait(10 * wait) and None  # type: ignore[method-assign]
    assert service.engine._steps.waiting().total() == 2
    service.engine.stop(patience=0.05)
    assert service.engine._steps.waiting().total() == 0
    going.set()


def test_a_service_that_stops_while_the_database_is_away_says_so(world: World) -> None:
    service = world.service("a")
    world.add("x")
    service.tick()
    service.workers.shutdown = lambda *_, **__: None  # type: ignore[method-assign]
    Faults(world.database).arm(0, is_after=False)
    with capture_logs() as logs:
        service.engine.stop(patience=0.1)
    assert [(line["event"], line["rows"]) for line in logs] == [("reconcile.not_given_back", 1)]


def test_the_backlog_counts_what_is_due_and_how_long(world: World) -> None:
    service = world.service("a")
    assert service.engine._backlog() == (0, 0)
    world.add("now")
    assert service.engine._backlog() == (1, 0)
    world.add("x", next_check_ms=world.now_ms - 1_500)
    world.add("y")
    world.add("z", next_check_ms=world.now_ms + 1)
    assert service.engine._backlog() == (3, 1.5)
    Faults(world.database).arm(0, is_after=False)
    assert str(service.engine._backlog()) == "(nan, nan)"


def test_a_lost_lease_is_counted_and_logged(world: World) -> None:
    one, other = world.service("a"), world.service("b")
    world.add("x")
    one.tick()
    world.now_ms += LEASE_MS + 1
    other.tick()
    before = metrics.LOST.labels("things")._value.get()
    with capture_logs() as logs:
        one.engine.heartbeat()
        one.engine.heartbeat()
    assert metrics.LOST.labels("things")._value.get() - before == 1
    assert [(line["event"], line["row"]) for line in logs] == [("reconcile.lease_lost", "x")]


def test_a_step_that_waited_too_long_for_a_worker_is_decided_anew(world: World) -> None:
    service = world.service("a")
    world.add("x")
    service.tick()
    service.workers.work.pop(0)()  # the look
    world.now_ms += 10_001
    service.workers.run()
    assert world.clusters["one"].calls == [] and world.rows()["x"].lock_token is None
    service.work()
    assert world.statuses() == {"x": "made"}


def test_a_reader_who_fails_loses_nothing_that_is_written(world: World) -> None:
    service = world.service("a")
    world.add("x", "y")

    def fails(_row: Any, _outcome: Outcome) -> None:
        raise ZeroDivisionError

    service.feature.written = fails  # type: ignore[method-assign]
    with capture_logs() as logs:
        service.work()
    assert world.statuses() == {"x": "made", "y": "made"} and service.engine._hand.keys() == []
    assert {line["event"] for line in logs} == {"reconcile.not_told"}
