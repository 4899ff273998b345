"""The engine's invariants (docs/engine.md), stepped by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from submarine_ray.core.engine.engine import Bounds
from tests.reconcile import fakes
from tests.reconcile.fakes import LEASE_MS, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fakes.world(tmp_path) as made:
        yield made


def test_what_is_desired_comes_about(world: World) -> None:
    service = world.service("a")
    world.add("x", "y")
    world.add("z", cluster="two")
    service.work()
    assert world.statuses() == {"x": "made", "y": "made", "z": "made"}
    assert {row.next_check_ms for row in world.rows().values()} == {None}
    world.desire("y", "other")
    service.work()
    assert world.statuses() == {"x": "made", "y": "other", "z": "made"}
    assert world.clusters["one"].calls == [("x", "made"), ("y", "made"), ("y", "other")]


def test_a_step_longer_than_three_leases_is_done_once_and_kept(world: World) -> None:
    one, other = world.service("a"), world.service("b")
    world.add("x")

    def long(_key: str) -> None:
        for _ in range(10):
            world.now_ms += LEASE_MS // 3
            one.engine.heartbeat()
            other.work()
            one.tick()  # nor is it claimed again by the service that has it in hand

    world.clusters["one"].making = long
    one.work()
    assert world.clusters["one"].calls == [("x", "made")]
    assert world.statuses() == {"x": "made"}


def test_who_hangs_without_a_heartbeat_loses_the_row_and_writes_nothing(world: World) -> None:
    one, other = world.service("a"), world.service("b")
    world.add("x")

    def stopped(_key: str) -> None:
        world.clusters["one"].making = lambda _key: None
        world.now_ms += LEASE_MS + 1
        other.work()
        assert world.statuses() == {"x": "made"}
        world.desire("x", "other")

    world.clusters["one"].making = stopped
    one.tick()
    one.workers.run()
    assert world.statuses() == {"x": "made"} and world.rows()["x"].next_check_ms is not None
    other.work()
    assert world.statuses() == {"x": "other"}


def test_a_resumed_service_takes_no_step_of_what_it_has_lost(world: World) -> None:
    one, other = world.service("a"), world.service("b")
    world.add("x", "y")
    one.tick()
    one.workers.work.pop(0)()  # the look: two steps wait for a worker
    world.now_ms += LEASE_MS + 1  # SIGSTOP, then SIGCONT
    other.work()
    one.workers.run()
    assert sorted(world.clusters["one"].calls) == [("x", "made"), ("y", "made")]


@pytest.mark.parametrize("failure", [ValueError("its spec cannot be read"), fakes.Away("half of it is away")])
def test_a_poisoned_row_delays_nobody_and_is_told_once(world: World, failure: Exception) -> None:
    service = world.service("a")
    service.feature.poisoned["bad"] = failure
    world.add("bad", "good", "well")
    for _ in range(8):
        service.work()
        world.now_ms += 400_000
    assert world.statuses() == {"bad": "asked", "good": "made", "well": "made"}
    (told,) = service.feature.told
    assert told[0] == "bad" and ("ValueError" in told[1] or str(failure) in told[1])
    del service.feature.poisoned["bad"]
    service.work()
    assert world.statuses()["bad"] == "made"


def test_a_row_that_breaks_the_look_is_found_among_the_others(world: World) -> None:
    service = world.service("a")
    world.add("bad", "good")

    def looking(keys: object) -> None:
        if "bad" in list(keys):  # type: ignore[call-overload]
            raise KeyError("of one row")

    world.clusters["one"].looking = looking
    service.work()
    assert world.statuses() == {"bad": "asked", "good": "made"}


def test_a_cluster_that_hangs_delays_only_its_own(world: World) -> None:
    service = world.service("a", Bounds(looks=4, looks_of_cluster=1))
    world.add("x", cluster="hangs")
    world.add("y", cluster="well")
    hung = []

    def hang(_keys: object) -> None:
        if hung:
            return
        hung.append(True)
        world.add("late", cluster="well")
        world.add("later", cluster="hangs")
        service.work()  # the other workers, meanwhile
        assert world.statuses() == {"x": "asked", "y": "made", "late": "made", "later": "asked"}

    world.clusters["hangs"].looking = hang
    service.work()
    service.work()
    assert set(world.statuses().values()) == {"made"}


@pytest.mark.parametrize("hanging", [16, 20, 60])
@pytest.mark.parametrize("what", ["looking", "making"])
def test_clusters_that_hang_together_leave_the_others_their_places(world: World, what: str, hanging: int) -> None:
    service = world.service("a", Bounds(looks=20, steps=40, steps_of_cluster=2))
    made_ms = list[int]()
    world.add("well", cluster="well", next_check_ms=world.now_ms + 1)
    world.clusters["well"].making = lambda _key: made_ms.append(world.now_ms)

    def hang(_of: object) -> None:
        """Until the healthy cluster has its turn: the other workers work, and time goes on."""
        turns = len(made_ms)
        while len(made_ms) == turns and world.now_ms < begun + 30_000:
            if service.workers.work:
                service.workers.work.pop(0)()
            else:
                world.now_ms += 500
                service.tick()

    for number in range(hanging):
        world.add(*(f"{row}-{number}" for row in "xyz"), cluster=f"hangs-{number}")
        setattr(world.clusters[f"hangs-{number}"], what, hang)
    world.now_ms = begun = world.now_ms + 1
    service.work()
    assert made_ms and made_ms[0] - begun <= 1_500 * (1 + hanging // 20)
    world.now_ms = begun = begun + 60_000  # from now on they are known, and nobody waits for them
    for number in range(hanging):
        world.desire(f"x-{number}", "other")
    world.desire("well", "other")
    service.work()
    assert made_ms[1] == begun


def test_a_cluster_that_is_away_changes_no_row_and_is_asked_rarely(world: World) -> None:
    service = world.service("a")
    world.add("x")
    there, asked = world.clusters["one"], []
    there.is_away = True
    there.looking = lambda _keys: asked.append(world.now_ms)
    before = world.rows()["x"].next_check_ms
    for _ in range(60):
        service.work()
        world.now_ms += 1_000
    assert 6 <= len(asked) <= 14 and world.rows()["x"].next_check_ms == before
    there.is_away = False
    world.now_ms += 60_000
    service.work()
    assert world.statuses() == {"x": "made"}


def test_no_row_is_claimed_without_a_free_worker(world: World) -> None:
    service = world.service("a", Bounds(looks=2))
    for number in range(5):
        world.add(f"x{number}", cluster=f"c{number}")
    service.tick()
    assert sum(row.lock_token is not None for row in world.rows().values()) == 2
    service.work()
    assert set(world.statuses().values()) == {"made"}
