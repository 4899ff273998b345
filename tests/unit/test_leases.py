"""Leases and the rows in hand, each function by itself: what is claimed, kept, written and given back, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from submarine_ray.core import leases
from submarine_ray.core.clock import Clock
from submarine_ray.core.database import Database
from submarine_ray.core.engine.hand import LONGEST_STEP_MS, Hand
from submarine_ray.core.leases import WRITE_MS, Lessee
from tests.reconcile.fakes import LEASE_MS, START_MS, Base, ThingRow

NOW = START_MS


class Time:
    ms = START_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('leases')}/things.db")
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.session(write=True) as opened:
        opened.query(ThingRow).delete()
        yield opened


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def mine(time: Time) -> Lessee:
    return Lessee("mine", LEASE_MS, own_clock=Clock(time, time))


def add(session: Session, id: str, cluster: str = "one", due: int | None = NOW, **more: Any) -> None:
    session.add(ThingRow(id=id, cluster=cluster, next_check_ms=due, **more))
    session.flush()


def found(session: Session, id: str) -> ThingRow:
    session.expire_all()
    return session.get_one(ThingRow, id)


def claimed(session: Session, lessee: Lessee, limit: int = 10, **more: Any) -> list[str]:
    return sorted(row.id for row in leases.claim(session, ThingRow, lessee, limit, **more))


def test_what_is_due_and_free_is_claimed_for_a_lease(session: Session, mine: Lessee) -> None:
    add(session, "due")
    add(session, "later", due=NOW + 1)
    add(session, "at-rest", due=None)
    add(session, "held", lock_token="other:1", lock_expires_ms=NOW)  # to its last millisecond
    add(session, "left", lock_token="other:2", lock_expires_ms=NOW - 1)
    assert claimed(session, mine) == ["due", "left"]
    row = found(session, "due")
    assert row.lock_expires_ms == NOW + LEASE_MS and str(row.lock_token).startswith("mine:")
    assert found(session, "left").lock_token == row.lock_token != found(session, "held").lock_token


def test_what_another_has_claimed_in_the_same_moment_is_his(
    session: Session, mine: Lessee, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in "ab":
        add(session, id)

    def token(_lessee: Lessee) -> str:
        """Between the look and the claim: databases without one write lock let others in there."""
        row = found(session, "a")
        row.lock_token, row.lock_expires_ms = "another:1", NOW + LEASE_MS
        session.flush()
        return "mine:1"

    monkeypatch.setattr(leases, "_token", token)
    assert claimed(session, mine) == ["b"] and found(session, "a").lock_token == "another:1"


def test_unfinished_are_those_that_are_not_at_rest(session: Session) -> None:
    assert leases.unfinished(session, ThingRow) == 0
    for id, due in (("a", NOW), ("b", NOW + 5), ("c", None)):
        add(session, id, due=due)
    assert leases.unfinished(session, ThingRow) == 2
    assert leases.unfinished(session, ThingRow, ThingRow.id == "a") == 1


def test_names_of_services_are_no_patterns(session: Session, time: Time) -> None:
    add(session, "a", lock_token="a_b:1")
    add(session, "b", lock_token="axb:1")
    leases.release_all(session, ThingRow, Lessee("a_b", LEASE_MS))
    assert [found(session, id).lock_token for id in "ab"] == [None, "axb:1"]


def test_the_longest_due_come_first_of_as_many_clusters_as_are_free(session: Session, mine: Lessee) -> None:
    for number, (id, cluster) in enumerate([("c", "one"), ("a", "two"), ("d", "one"), ("b", "three"), ("e", "two")]):
        add(session, id, cluster, due=NOW - 10 + number)
    assert claimed(session, mine, 1) == ["c"]
    leases.release_all(session, ThingRow, mine)
    assert claimed(session, mine, 4, lanes=2) == ["a", "c", "d"]
    leases.release_all(session, ThingRow, mine)
    assert claimed(session, mine, lanes=0) == []
    assert claimed(session, mine, held=["c"], full=["two"]) == ["b", "d"]


def test_when_the_next_is_due_of_those_that_may_be_taken(session: Session, mine: Lessee) -> None:
    assert leases.next_due(session, ThingRow, NOW) is None
    add(session, "first", "one", due=NOW + 1)
    add(session, "second", "two", due=NOW + 2)
    add(session, "third", "one", due=NOW + 3)
    add(session, "held", "one", due=NOW, lock_token="other:1", lock_expires_ms=NOW)
    assert leases.next_due(session, ThingRow, NOW) == NOW + 1
    assert leases.next_due(session, ThingRow, NOW, held=["first"]) == NOW + 2
    assert leases.next_due(session, ThingRow, NOW, full=["one"]) == NOW + 2
    assert leases.next_due(session, ThingRow, NOW, held=["second"], full=["one"]) is None
    assert leases.next_due(session, ThingRow, NOW + 1) == NOW  # the other's lease has ended
    assert leases.backlog(session, ThingRow, NOW + 1) == (2, NOW)
    assert leases.backlog(session, ThingRow, NOW - 1) == (0, None)
    add(session, "at-rest", due=None)
    assert leases.unfinished(session, ThingRow) == 4
    assert leases.unfinished(session, ThingRow, ThingRow.cluster == "two") == 1


def test_leases_are_renewed_of_those_that_are_still_mine(session: Session, mine: Lessee, time: Time) -> None:
    for id, token in (("a", "mine:1"), ("b", "mine:2"), ("c", "other:1"), ("d", None)):
        add(session, id, lock_token=token, lock_expires_ms=NOW + 5)
    time.ms += 7
    claims = {"a": "mine:1", "b": "mine:1", "c": "mine:2", "d": "mine:3"}  # b was lost, and claimed again
    assert leases.renew(session, ThingRow, mine, claims) == {"a"}
    ends = {id: found(session, id).lock_expires_ms for id in "abcd"}
    assert ends == {"a": NOW + 7 + LEASE_MS, "b": NOW + 5, "c": NOW + 5, "d": NOW + 5}


def test_only_what_is_mine_is_given_back_removed_and_released(session: Session, mine: Lessee) -> None:
    for id, token in (("a", "mine:1"), ("b", "other:1"), ("c", "mine:2")):
        add(session, id, lock_token=token, lock_expires_ms=NOW + 5)
    leases.give_back(session, ThingRow, {"a": "mine:1", "b": "mine:3"})
    assert (found(session, "a").lock_token, found(session, "a").lock_expires_ms) == (None, None)
    assert (found(session, "b").lock_token, found(session, "b").lock_expires_ms) == ("other:1", NOW + 5)
    stale = ThingRow(id="c", lock_token="mine:0")
    assert not leases.remove(session, stale) and found(session, "c")
    assert leases.remove(session, ThingRow(id="c", lock_token="mine:2"))
    session.expunge_all()
    assert session.get(ThingRow, "c") is None and session.get(ThingRow, "b")
    add(session, "d", lock_token="mine:4", due=NOW + 9)
    add(session, "e", lock_token="mine-too:1")
    leases.recover(session, ThingRow, mine)
    assert [found(session, id).lock_token for id in "bde"] == ["other:1", None, "mine-too:1"]
    assert found(session, "d").next_check_ms == NOW


def test_what_came_of_it_is_written_if_lease_and_desire_are_the_same(session: Session) -> None:
    for id in "abcd":
        add(session, id, lock_token=f"mine:{id}", lock_expires_ms=NOW + 5, generation=2)
    session.expunge_all()
    taken = [session.get_one(ThingRow, id) for id in "abcd"]
    session.expunge_all()
    changed, lost, too = (session.get_one(ThingRow, id) for id in "bcd")
    changed.generation, lost.lock_token, too.lock_token = 3, "other:1", "another:1"
    session.flush()
    assert [leases.apply(session, row, {"status": "new", "next_check_ms": None}) for row in taken] == [
        True,
        False,
        False,
        False,
    ]
    session.expunge_all()
    rows = [session.get_one(ThingRow, id) for id in "abcd"]
    assert [(row.status, row.lock_token, row.lock_expires_ms) for row in rows] == [
        ("new", None, None), ("asked", None, None), ("asked", "other:1", NOW + 5),
        ("asked", "another:1", NOW + 5),
    ]  # fmt: skip
    assert rows[0].next_check_ms is None and rows[1].next_check_ms != NOW and rows[2].next_check_ms == NOW
    assert rows[3].next_check_ms == NOW


def test_rows_that_were_claimed_together_share_a_token_and_nothing_else(session: Session) -> None:
    for id in "abc":
        add(session, id, lock_token="mine:1", lock_expires_ms=NOW + 5, generation=1)
    session.expunge_all()
    assert leases.apply(session, session.get_one(ThingRow, "b"), {"status": "new"})
    assert [found(session, id).status for id in "abc"] == ["asked", "new", "asked"]
    assert [found(session, id).lock_token for id in "abc"] == ["mine:1", None, "mine:1"]
    changed = ThingRow(id="b", lock_token="mine:1", generation=0)
    found(session, "b").lock_token = "mine:1"
    session.flush()
    assert not leases.apply(session, changed, {"status": "newer"})
    assert [found(session, id).lock_token for id in "abc"] == ["mine:1", None, "mine:1"]
    found(session, "b").lock_token = "mine:1"
    session.flush()
    leases.give_back(session, ThingRow, {"b": "mine:1"})
    assert [found(session, id).lock_token for id in "abc"] == ["mine:1", None, "mine:1"]
    assert not leases.is_held(session, changed, NOW)
    assert not leases.remove(session, ThingRow(id="b", lock_token="mine:1"))
    found(session, "b").lock_token = "mine:1"
    session.flush()
    assert leases.remove(session, ThingRow(id="b", lock_token="mine:1"))
    session.expunge_all()
    assert [id for id in "abc" if session.get(ThingRow, id)] == ["a", "c"]


def test_a_row_is_held_for_as_long_as_a_write_may_take(session: Session) -> None:
    add(session, "a", lock_token="mine:1", lock_expires_ms=NOW + WRITE_MS + 1, generation=2)
    assert leases.is_held(session, found(session, "a"), NOW)
    assert not leases.is_held(session, found(session, "a"), NOW + 1)
    for other in ("mine:0", "mine:2"):
        assert not leases.is_held(session, ThingRow(id="a", lock_token=other, generation=2), NOW)
    assert not leases.is_held(session, ThingRow(id="a", lock_token="mine:1", generation=1), NOW)
    assert not leases.is_held(session, ThingRow(id="b", lock_token="mine:1", generation=2), NOW)


def test_rows_are_woken_and_never_put_off(session: Session) -> None:
    for id, due in (("a", NOW + 5), ("b", NOW - 5), ("c", NOW + 5), ("d", None)):
        add(session, id, due=due)
    leases.wake(session, ThingRow, ["a", "b", "d"], NOW)
    assert [found(session, id).next_check_ms for id in "abcd"] == [NOW, NOW - 5, NOW + 5, None]
    leases.hasten(session, ThingRow, NOW + 1)
    assert [found(session, id).next_check_ms for id in "abcd"] == [NOW, NOW - 5, NOW + 1, None]


def write(database: Database, **tokens: str) -> None:
    with database.session(write=True) as session:
        for id, token in tokens.items():
            session.merge(ThingRow(id=id, cluster="one", lock_token=token, lock_expires_ms=NOW + LEASE_MS))


def in_hand(database: Database, lessee: Lessee, *ids: str) -> Hand:
    with database.session(write=True) as session:
        session.query(ThingRow).delete()
    write(database, **dict.fromkeys(ids, "mine:1"))
    hand = Hand(database, ThingRow, lessee)
    hand.take([ThingRow(id=id, lock_token="mine:1") for id in ids], NOW)
    return hand


def test_a_row_in_hand_is_held_until_its_lease_ends(database: Database, mine: Lessee, time: Time) -> None:
    hand = in_hand(database, mine, "a", "b")
    assert hand.tokens() == {"a": "mine:1", "b": "mine:1"} and hand.keys() == ["a", "b"]
    time.ms = NOW + LEASE_MS - 1
    assert hand.holds("a") and not hand.holds("x")
    time.ms += 1
    assert not hand.holds("a")
    assert hand.renew() == set() and hand.holds("a")
    time.ms += LEASE_MS - 1
    assert hand.holds("b")
    hand.let_go(["b", "x"])
    assert not hand.holds("b") and hand.keys() == ["a"]


def test_what_another_has_taken_is_lost_once_and_stays_in_hand(database: Database, mine: Lessee) -> None:
    hand = in_hand(database, mine, "a", "b", "c")
    hand.ending(["c", "x"])
    write(database, b="other:1", c="other:1")
    assert hand.renew() == {"b"}  # c's result is being written, which frees it
    assert hand.renew() == set()
    assert hand.holds("a") and not hand.holds("b") and hand.keys() == ["a", "b", "c"]


def test_whoever_hangs_is_renewed_no_more(database: Database, mine: Lessee, time: Time) -> None:
    hand = in_hand(database, mine, "a")
    time.ms = NOW + LONGEST_STEP_MS - 1
    assert hand.renew() == set() and hand.holds("a")
    time.ms += 1
    assert hand.renew() == {"a"} and not hand.holds("a")
    time.ms += 1
    other = in_hand(database, mine, "b")
    assert other.renew() == {"b"}


def test_what_is_let_go_of_during_a_heartbeat_keeps_no_other_from_it(
    database: Database, mine: Lessee, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = in_hand(database, mine, "a", "b")
    renewed = hand._renewed

    def lets_go(claims: dict[str, str]) -> set[str]:
        kept = renewed(claims)
        hand.let_go(["a"])
        return kept

    monkeypatch.setattr(hand, "_renewed", lets_go)
    time.ms += LEASE_MS - 1
    assert hand.renew() == set()
    time.ms += 1
    assert hand.holds("b") and not hand.holds("a")
