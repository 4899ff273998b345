"""The engine's small parts, each by itself: lanes, backoff, pages of long lists."""

from __future__ import annotations

import random
import threading
from concurrent.futures import CancelledError

import pytest
from sqlalchemy import BigInteger, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from submarine_ray.core import paging
from submarine_ray.core.engine.backoff import FIRST_MS, JITTER, LONGEST_MS, Backoff
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.engine.restless import AT_ONCE, Restless
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.core.lanes import SLOW_MS, TIMES, Lanes, finish
from submarine_ray.core.paging import Cursor
from tests.reconcile.fakes import ByHand


class Chance(random.Random):
    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.at


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(chance=Chance(0.5))
    assert [backoff.failed("x") for _ in range(10)] == [
        (number + 1, min(LONGEST_MS, FIRST_MS * 2**number)) for number in range(10)
    ]
    assert backoff.failed("other") == (1, FIRST_MS)
    assert backoff.succeeded("x") and not backoff.succeeded("x")
    assert backoff.failed("x") == (1, FIRST_MS)
    for _ in range(100):
        assert backoff.failed("x")[1] <= LONGEST_MS


@pytest.mark.parametrize(("at", "share"), [(0, 1 - JITTER), (1, 1 + JITTER)])
def test_a_pause_is_a_quarter_longer_or_shorter(at: float, share: float) -> None:
    assert Backoff(1000, 5000, Chance(at)).failed("x") == (1, int(1000 * share))


def test_steps_at_once_are_counted_and_then_come_later() -> None:
    now = 2**40 - 1
    restless, at_once = Restless(), Outcome({"status": "x", "next_check_ms": now})
    overdue, later = Outcome({"next_check_ms": now - 1}), Outcome({"next_check_ms": now + 1})
    for _ in range(2):
        assert [restless.settle("a", at_once, now) for _ in range(AT_ONCE)] == [at_once] * AT_ONCE
        assert restless.settle("b", overdue, now) is overdue
        delayed = restless.settle("a", at_once, now)
        first = 2**AT_ONCE  # after ten steps at once, the next comes in about a second
        assert delayed.values["status"] == "x" and 1 - JITTER <= (delayed.due_ms - now) / first <= 1 + JITTER
        assert restless.settle("a", later, now) is later  # it rests: the count begins anew
    for _ in range(AT_ONCE):
        restless.settle("b", overdue, now)
    assert restless.settle("b", overdue, now).due_ms > now


def test_lanes_bound_each_lane_and_all() -> None:
    hand, freed = ByHand(), list[str]()
    lanes = Lanes("test", 3, 2, hand, freed.append)
    answers = [lanes.put(lane, lambda lane=lane, number=number: (lane, number)) for number, lane in enumerate("aaabb")]
    assert len(hand.work) == 3 and lanes.free() == 0
    assert lanes.full() == {"a"} and lanes.waiting() == {"a": 1, "b": 1}
    hand.work.pop(0)()
    assert len(hand.work) == 3 and freed == ["a"] and lanes.waiting() == {"b": 1}  # of those that may, the first
    hand.run()
    assert [one.result() for one in answers if one] == [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4)]
    assert lanes.free() == 3 and lanes.full() == set() and not lanes.waiting()


def test_a_lane_that_is_full_leaves_room_to_others() -> None:
    hand = ByHand()
    lanes = Lanes("test", 3, 1, hand)
    for lane in "aaab":
        lanes.put(lane, lambda: None)
    assert len(hand.work) == 2 and lanes.free() == 1 and lanes.full() == {"a", "b"}


def test_a_lane_takes_no_more_than_its_queue() -> None:
    lanes = Lanes("test", 1, 1, ByHand())
    assert lanes.put("a", int, queue=1) and lanes.put("b", int, queue=1) and lanes.put("a", int, queue=1)
    assert lanes.put("a", int, queue=1) is None and lanes.put("c", int, queue=0) is None
    assert lanes.put("a", int, queue=2) and lanes.waiting() == {"a": 2, "b": 1}


def test_what_is_cancelled_or_fails_keeps_no_place() -> None:
    hand = ByHand()
    lanes = Lanes("test", 1, 1, hand)
    failing = lanes.put("a", lambda: 1 / 0)
    cancelled, kept = lanes.put("a", int), lanes.put("a", lambda: 7, queue=2)
    assert failing and cancelled and kept and cancelled.cancel()
    assert lanes.waiting() == {"a": 1}
    last = lanes.put("a", lambda: 8, queue=2)
    hand.run()
    assert isinstance(failing.exception(), ZeroDivisionError) and kept.result() == 7 and last and last.result() == 8
    assert lanes.free() == 1


class Time:
    """A clock that a test sets."""

    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def test_what_takes_long_leaves_its_place_to_prompt_lanes() -> None:
    hand, time = ByHand(), Time()
    lanes = Lanes("test", 2, 2, hand, even_ms=time)
    for lane in "aabb":
        lanes.put(lane, int)
    assert (len(hand.work), lanes.free(), lanes.full()) == (2, 0, {"a"})
    time.now_ms = SLOW_MS
    lanes.advance()
    assert len(hand.work) == 2  # not yet
    time.now_ms += 1
    assert lanes.free() == 2  # the places of the slow ones are taken: it is those of the others that count
    lanes.advance()
    assert (len(hand.work), lanes.free(), lanes.full()) == (4, 0, {"a", "b"})
    lanes.put("c", int)
    assert len(hand.work) == 4 and lanes.waiting() == {"c": 1}
    hand.work.pop(0)()  # of a lane that is slow: this is no place for others
    assert len(hand.work) == 3 and lanes.waiting() == {"c": 1}
    time.now_ms += SLOW_MS + 1
    lanes.put("d", int)  # what waited longest comes first
    assert len(hand.work) == 5 and not lanes.waiting()


def test_slow_lanes_share_places_of_their_own_until_they_are_prompt_again() -> None:
    hand, time = ByHand(), Time()
    lanes = Lanes("test", 2, 1, hand, even_ms=time)
    for lane in "ab":
        lanes.put(lane, int)
    time.now_ms = SLOW_MS + 1
    for lane in "cd":
        lanes.put(lane, int)
    time.now_ms *= 2
    hand.run()
    assert lanes.free() == 2 and lanes.full() == set()
    lanes.put("a", int)
    assert lanes.free() == 1  # among those that may begin are slow ones
    for lane in "bc":
        lanes.put(lane, int)
    assert lanes.full() == {"a", "b", "c", "d"} and lanes.waiting() == {"c": 1}
    lanes.put("e", int)
    assert len(hand.work) == 3 and lanes.free() == 1
    hand.run()
    assert lanes.free() == 2
    for lane in "abe":
        lanes.put(lane, int)
    assert len(hand.work) == 2 and lanes.full() == {"a", "b"}  # they are not slow any more


def test_however_many_lanes_are_slow_there_is_a_bound_to_all() -> None:
    hand, time = ByHand(), Time()
    lanes = Lanes("test", 2, 1, hand, even_ms=time)
    for number in range(20):
        lanes.put(str(number), int)
        time.now_ms += SLOW_MS + 1
    assert len(hand.work) == 2 * TIMES and lanes.free() == 0
    hand.work.pop(0)()
    assert len(hand.work) == 2 * TIMES


def test_of_all_works_together_so_many_are_left() -> None:
    hand, time = ByHand(), Time()
    lanes = Lanes("test", 2, 1, hand, even_ms=time)
    for number in range(2 * TIMES - 1):
        lanes.put(str(number), int)
        time.now_ms += SLOW_MS + 1
    assert lanes.free() == 1


def slow_lane(hand: ByHand, time: Time) -> Lanes:
    """Lanes of two places each, of which "slow" has taken long."""
    lanes = Lanes("test", 2, 2, hand, even_ms=time)
    lanes.put("slow", int)
    time.now_ms += SLOW_MS + 1
    hand.run()
    return lanes


def test_no_place_of_a_slow_lane_is_one_for_a_prompt_lane() -> None:
    lanes = slow_lane(ByHand(), Time())
    for lane in "ab":
        lanes.put(lane, int)
    assert lanes.free() == 0


def test_what_runs_in_a_lane_that_is_prompt_again_counts_among_the_prompt_ones() -> None:
    hand = ByHand()
    lanes = slow_lane(hand, Time())
    for lane in ("slow", "slow", "a", "b"):
        lanes.put(lane, int)
    assert len(hand.work) == 4
    hand.work.pop(0)()
    lanes.put("c", int)
    assert len(hand.work) == 3 and lanes.waiting() == {"c": 1} and lanes.free() == 0


def test_more_may_have_become_slow_than_slow_lanes_have_places() -> None:
    time = Time()
    lanes = Lanes("test", 2, 2, ByHand(), even_ms=time)
    for lane in "abc":
        lanes.put(lane, int)
        time.now_ms += SLOW_MS + 1
    assert lanes.full() == {"a", "b", "c"}


def test_a_lane_is_slow_by_how_long_its_work_took() -> None:
    hand, time = ByHand(), Time()
    lanes = Lanes("test", 2, 1, hand, even_ms=time)
    time.now_ms = SLOW_MS
    lanes.put("a", int)
    time.now_ms += 30
    hand.run()
    for lane in "bca":
        lanes.put(lane, int)
    assert lanes.waiting() == {"a": 1}  # for a place of prompt lanes


def test_a_queue_may_be_longer_already_than_is_allowed_now() -> None:
    lanes = Lanes("test", 1, 1, ByHand())
    for _ in range(4):
        assert lanes.put("a", int)
    assert lanes.put("a", int, queue=2) is None


@pytest.mark.parametrize("most", [1, 2])
def test_there_is_a_thread_for_each_work_that_may_run(most: int) -> None:
    time, together = Time(), threading.Barrier(most * TIMES)
    lanes = Lanes("test", most, 1, even_ms=time)
    answers = []
    for number in range(most * TIMES):
        answers.append(lanes.put(str(number), lambda: together.wait(5)))
        time.now_ms += SLOW_MS + 1
    assert sorted(one.result(6) for one in answers if one) == list(range(most * TIMES))
    lanes.close(wait=True)


def test_closing_drops_what_no_thread_has_begun() -> None:
    class Told(ByHand):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            told.append((wait, cancel_futures))

    told: list[tuple[bool, bool]] = []
    for wait in (True, False):
        Lanes("test", 1, 1, Told()).close(wait)
    assert told == [(True, True), (False, True)]


def test_closed_lanes_begin_nothing_more() -> None:
    hand, done = ByHand(), list[int]()
    lanes = Lanes("test", 1, 1, hand)
    for number in range(3):
        last = lanes.put("a", lambda number=number: done.append(number))
    finish(lanes)
    assert done == [0] and last
    with pytest.raises(CancelledError):
        last.result(0)


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[str] = mapped_column(String(9), primary_key=True)
    ms: Mapped[int] = mapped_column(BigInteger)


def test_a_page_goes_up_unless_it_is_said() -> None:
    up = str(paging.after(select(Item), Item.ms, Item.id, None, Cursor(1, "a")))
    assert up == str(paging.after(select(Item), Item.ms, Item.id, None, Cursor(1, "a"), descending=False))
    assert up != str(paging.after(select(Item), Item.ms, Item.id, None, Cursor(1, "a"), descending=True))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_together_are_the_list(limit: int, descending: bool) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    keys = [(ms, id) for ms in (1, 2, 3) for id in ("a", "b")]
    with Session(engine) as session:
        session.add_all(Item(id=f"{id}{ms}", ms=ms) for ms, id in keys)
        session.flush()
        order = [column.desc() if descending else column for column in (Item.ms, Item.id)]
        everything = list(session.scalars(select(Item).order_by(*order)))
        pages, cursor = list[list[Item]](), None
        while True:
            found = session.scalars(
                paging.after(select(Item).order_by(*order), Item.ms, Item.id, limit, cursor, descending)
            ).all()
            page, attributes = paging.split(found, limit, lambda row: Cursor(row.ms, row.id))
            pages.append(page)
            said = attributes.model_dump(by_alias=True)
            assert said["limit"] == limit
            if not said.get("nextCursor"):
                break
            cursor = Cursor.parse(said["nextCursor"])
        assert [row for page in pages for row in page] == everything
        assert all(len(page) == limit for page in pages[:-1]) and pages[-1]
        assert session.scalars(paging.after(select(Item), Item.ms, Item.id, None, None)).all()
        assert paging.split(everything, None, lambda row: Cursor(row.ms, row.id))[0] == everything


@pytest.mark.parametrize("length", range(8))
def test_a_cursor_is_read_as_it_was_given(length: int) -> None:
    cursor = Cursor(1_800_000_000_000, "x" * length)
    assert Cursor.parse(str(cursor)) == cursor and "=" not in str(cursor)
    assert Cursor.parse(None) is None and Cursor.parse("") is None


@pytest.mark.parametrize("text", ["é", "a", "WzFd", "WyJhIiwiYiJd", "WzEsMl0", "bnVsbA", "WzEsImEiLDJd"])
def test_what_no_page_gave_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidSpec, match="cursor"):
        Cursor.parse(text)
