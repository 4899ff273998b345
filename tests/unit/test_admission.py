"""Who may start: the decision alone, and a seeded machine that lets jobs come, start and end for a long time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from submarine_ray.admission.decide import KINDS, MAX_OVERTAKEN, Demand, Room, minus, plan
from submarine_ray.spec.quantities import GIB, SLACK, Resources

CPU4 = Resources(4, 8 * GIB)
GPU1 = Resources(4, 8 * GIB, 1)


def waits(id: str, cpu: float = 0.0, gpu: float = 0.0, memory: int = 0, **more: object) -> Demand:
    return Demand(id, Resources(cpu, memory, gpu), since_ms=int(id[1:]), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("room", "waiting", "granted"),
    [
        (Room(CPU4), [waits("a1", 2), waits("a2", 2), waits("a3", 1)], {"a1": 1, "a2": 1}),
        (Room(CPU4), [waits("a2", 4), waits("a1", 1)], {"a1": 1}),  # the first by time, whatever their order
        # An endpoint holds the GPU; three that ask for none start past the one that waits for it.
        (Room(GPU1, held=Resources(gpu=1), lasting=Resources(gpu=1)),
         [waits("a1", 1, 1), waits("a2", 1), waits("a3", 1), waits("a4", 1)], {"a2": 1, "a3": 1, "a4": 1}),
        # Even if more is held of it than there is.
        (Room(CPU4, held=Resources(gpu=1)), [waits("a1", 1)], {"a1": 1}),
        # One of cpu=4 behind a notebook holds up nobody, however often it was overtaken.
        (Room(CPU4, held=Resources(1), lasting=Resources(1)),
         [waits("a1", 4, overtaken=99), waits("a2", 1), waits("a3", 2)], {"a2": 1, "a3": 1}),
        # Oversized ones are as if they were not there.
        (Room(CPU4), [*(waits(f"a{n}", 99) for n in range(40)), waits("a40", 4)], {"a40": 1}),
        # Behind one that was overtaken enough, what ends is kept for it.
        (Room(CPU4, held=Resources(2)), [waits("a1", 4, overtaken=MAX_OVERTAKEN), waits("a2", 1)], {}),
        (Room(CPU4, held=Resources(2)), [waits("a1", 4, overtaken=MAX_OVERTAKEN - 1), waits("a2", 1)], {"a2": 1}),
        # But nothing of what is less scarce than what it lacks; of what is scarcer, what it asks for.
        (Room(GPU1, held=Resources(gpu=1)), [waits("a1", 4, 1, overtaken=MAX_OVERTAKEN), waits("a2", 1)], {"a2": 1}),
        (Room(GPU1, held=Resources(4)), [waits("a1", 1, 1, overtaken=MAX_OVERTAKEN), waits("a2", 0, 1)], {}),
        (Room(Resources(4, 0, 2), held=Resources(4)), [waits("a1", 1, 1, overtaken=MAX_OVERTAKEN), waits("a2", 0, 1)],
         {"a2": 1}),
        # A sweep starts with as many trials as fit, one at least, and no more than it would like.
        (Room(CPU4, held=Resources(1)), [waits("a1", 1, units=10)], {"a1": 3}),
        (Room(CPU4), [waits("a1", 1, units=2), waits("a2", 2)], {"a1": 2, "a2": 1}),
        (Room(CPU4, held=Resources(4)), [waits("a1", 1, units=10)], {}),
        (Room(CPU4), [waits("a1", 0, units=7)], {"a1": 7}),
        # So many may be starting; a notebook is not of that number.
        (Room(CPU4, slots=1), [waits("a1", 1), waits("a2", 1), waits("a3", 1, takes_slot=False)], {"a1": 1, "a3": 1}),
    ],
)  # fmt: skip
def test_who_may_start(room: Room, waiting: list[Demand], granted: dict[str, int]) -> None:
    assert plan(room, waiting).grants == granted


def test_whoever_is_overtaken_enough_in_one_go_is_kept_room_from_there_on() -> None:
    small = [waits(f"a{n}", 0.1) for n in range(2, 30)]
    found = plan(Room(CPU4, held=Resources(1), slots=99), [waits("a1", 4), *small])
    assert len(found.grants) == MAX_OVERTAKEN and found.overtaken == {"a1": MAX_OVERTAKEN}
    assert found.kept_for == ("a1",)


def test_who_has_waited_comes_before_who_has_not() -> None:
    longest, later = Demand("z", Resources(1), since_ms=5), Demand("a", Resources(1), since_ms=6)
    new = Demand("0", Resources(1))
    assert sorted([new, later, longest], key=lambda one: one.place) == [longest, later, new]
    assert new.ends and new.takes_slot and new.units == 1


def test_room_is_kept_for_who_was_overtaken_more_than_enough() -> None:
    big = replace(waits("a1", 4), overtaken=MAX_OVERTAKEN + 1)
    found = plan(Room(CPU4, held=Resources(1), slots=99), [big, waits("a2", 0.1)])
    assert found.kept_for == ("a1",) and not found.grants


def test_nothing_is_left_of_what_is_held_wholly_or_twice() -> None:
    one = Resources(1, 2, 3)
    assert minus(one, one) == minus(one, Resources(2, 4, 6)) == Resources(0, 0, 0)
    assert minus(one, Resources(0.5, 1, 1)) == Resources(0.5, 1, 2)


def test_only_those_that_ask_overtake() -> None:
    waiting = [waits("a1", 4), waits("a2", 1), waits("a3", 1)]
    found = plan(Room(CPU4, held=Resources(2)), waiting, asking={"a3"})
    assert found.grants == {"a2": 1, "a3": 1} and found.overtaken == {"a1": 1}
    assert plan(Room(CPU4, held=Resources(2)), waiting, asking=()).overtaken == {}


@pytest.mark.parametrize("cpu", [1, 3])
def test_who_asks_for_nothing_of_what_is_short_does_not_overtake(cpu: int) -> None:
    found = plan(Room(GPU1, held=Resources(gpu=1)), [waits("a1", cpu, 1), waits("a2", 1)])
    assert found.grants == {"a2": 1} and found.overtaken == {}


SIZES = st.sampled_from(
    [(1, 0, 0), (0.5, 1, 0), (4, 0, 0), (3, 4, 0), (1, 0, 1), (4, 8, 2), (0, 0, 1), (0, 6, 0), (9, 0, 0)]
)


class Cluster(RuleBasedStateMachine):
    """4 CPUs, 8 GiB, 2 GPUs. Experiments come, start as they may, and end; notebooks and endpoints stay a while."""

    total = Resources(4, 8 * GIB, 2)

    @initialize()
    def begin(self) -> None:
        self.waiting: dict[str, Demand] = {}
        self.running: dict[str, Resources] = {}
        self.lasting: dict[str, Resources] = {}
        self.past: dict[str, int] = {}  # how often each was overtaken, counted here
        self.count = 0

    @rule(size=SIZES, units=st.sampled_from([1, 1, 1, 6]), lasts=st.sampled_from([False, False, False, True]))
    def come(self, size: tuple[float, int, float], units: int, lasts: bool) -> None:
        self.count += 1
        unit = Resources(size[0], size[1] * GIB, size[2])
        self.waiting[f"{self.count:03d}"] = Demand(f"{self.count:03d}", unit, units, self.count, ends=not lasts)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.running.pop(data.draw(st.sampled_from(sorted(self.running))))

    @precondition(lambda self: self.lasting)
    @rule(data=st.data())
    def stop_a_notebook(self, data: st.DataObject) -> None:
        self.lasting.pop(data.draw(st.sampled_from(sorted(self.lasting))))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.waiting.pop(data.draw(st.sampled_from(sorted(self.waiting))))

    @rule(slots=st.integers(0, 8))
    def decide(self, slots: int) -> None:
        before = self.free()
        found = plan(self.room(slots), self.waiting.values())
        assert len(found.grants) <= slots
        for id, units in found.grants.items():
            one = self.waiting.pop(id)
            assert 1 <= units <= one.units
            (self.running if one.ends else self.lasting)[id] = one.unit.times(units)
        self.nobody_is_overtaken_too_often(found.grants, before)
        for id, times in found.overtaken.items():
            one = self.waiting[id]
            self.waiting[id] = Demand(id, one.unit, one.units, one.since_ms, one.ends, overtaken=times)
        if len(found.grants) < slots:
            self.nobody_waits_for_what_is_free(found.kept_for)

    @rule()
    def everything_ends(self) -> None:
        """Then the first that can start does, and nobody is left for ever."""
        self.running.clear()
        for _ in range(len(self.waiting)):
            can = [one for one in self.waiting.values() if one.unit.fits(self.free())]
            if not can:
                break
            first = min(can, key=lambda one: one.place)
            self.decide(8)
            assert first.id not in self.waiting
            self.running.clear()
        assert not any(one.unit.fits(self.free()) for one in self.waiting.values())

    @invariant()
    def never_over_committed(self) -> None:
        assert self.held().fits(self.total)

    def nobody_waits_for_what_is_free(self, kept_for: tuple[str, ...]) -> None:
        for one in self.waiting.values():
            if one.unit.fits(self.free()):
                before = [self.waiting[id] for id in kept_for if self.waiting[id].place < one.place]
                asked = {kind for kind in KINDS if getattr(one.unit, kind)}
                # It is kept from room by one that was there before it, can start once others end, and asks for the same.
                assert any(asked & {kind for kind in KINDS if getattr(big.unit, kind)} for big in before)
                assert all(big.overtaken >= MAX_OVERTAKEN for big in before)

    def nobody_is_overtaken_too_often(self, grants: object, before: Resources) -> None:
        reachable = minus(self.total, sum(self.lasting.values(), Resources()))
        for id, one in self.waiting.items():
            short = {kind for kind in KINDS if getattr(one.unit, kind) > getattr(before, kind) + SLACK}
            for other, size in {**self.running, **self.lasting}.items():
                is_new = other in grants and other > id  # type: ignore[operator]
                if is_new and one.unit.fits(reachable) and any(getattr(size, kind) for kind in short):
                    self.past[id] = self.past.get(id, 0) + 1
            assert self.past.get(id, 0) <= MAX_OVERTAKEN

    def room(self, slots: int) -> Room:
        return Room(self.total, self.held(), sum(self.lasting.values(), Resources()), slots)

    def held(self) -> Resources:
        return sum([*self.running.values(), *self.lasting.values()], Resources())

    def free(self) -> Resources:
        return minus(self.total, self.held())


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=80, stateful_step_count=50, deadline=None, derandomize=True)
