"""The pure heart of admission: what a cluster has, what is held and who waits in; who may start out. No I/O.

The line is by the time of asking. Whoever fits starts, even past others that do not: what is short holds up those alone
that ask for it. One that could start once others end is overtaken `MAX_OVERTAKEN` times at most; then room is kept for
it as it becomes free. One that waits for what does not end by itself (a notebook's, an endpoint's) keeps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from submarine_ray.spec.quantities import SLACK, Resources

MAX_OVERTAKEN = 8
# The kinds of resources, the scarcest first: in this order room is kept.
KINDS = ("gpu", "cpu", "memory")


@dataclass(frozen=True)
class Demand:
    """What waits to start: `unit` once at least, and up to `units` times as there is room (a sweep's trials).

    `since_ms` is its place in the line: when it asked, in ms since 1970; None is when admission first hears of it.
    `ends`: it does by itself, some time. `takes_slot`: it counts among those that start at the same time. `name` is
    what users call it.
    """

    id: str
    unit: Resources
    units: int = 1
    since_ms: int | None = None
    ends: bool = True
    takes_slot: bool = True
    overtaken: int = 0
    name: str = ""

    @property
    def place(self) -> tuple[float, str]:
        """Its place in the line."""
        return math.inf if self.since_ms is None else self.since_ms, self.id


@dataclass(frozen=True)
class Room:
    """A cluster's `total`, what is held of it (`lasting`: by what does not end by itself), and how many may start."""

    total: Resources
    held: Resources = field(default_factory=Resources)
    lasting: Resources = field(default_factory=Resources)
    slots: int = 8


@dataclass(frozen=True)
class Plan:
    """`grants`: who may start now, and with how many units. `overtaken`: how often each that waits has been, if more
    than before. `kept_for`: for whom room is kept, in order. `slots`: how many more may start.
    """

    grants: Mapping[str, int]
    overtaken: Mapping[str, int]
    kept_for: tuple[str, ...]
    slots: int


def plan(room: Room, waiting: Iterable[Demand], asking: Collection[str] | None = None) -> Plan:
    """Who may start now, of those that wait (in any order).

    What the others would take is left to them, but only those in `asking` start, and overtake; None is all of them.
    """
    free, reachable, slots = minus(room.total, room.held), minus(room.total, room.lasting), room.slots
    grants: dict[str, int] = {}
    passed: list[Demand] = []  # that wait for others to end
    counted: dict[str, int] = {}
    kept_for: list[str] = []
    for demand in sorted(waiting, key=lambda one: one.place):
        if demand.unit.fits(free):
            if demand.takes_slot and slots <= 0:
                continue
            units = max(1, min(demand.units, demand.unit.times_in(free)))
            starts = asking is None or demand.id in asking
            overtakes = [one for one in passed if starts and _takes_what_is_short(demand.unit, one.unit, free)]
            grants[demand.id] = units
            free, slots = minus(free, demand.unit.times(units)), slots - demand.takes_slot
            for one in overtakes:
                patience = replace(one, overtaken=one.overtaken + 1)
                passed[passed.index(one)] = patience
                counted[one.id] = patience.overtaken
                if patience.overtaken == MAX_OVERTAKEN:
                    free = _kept(free, one.unit)
                    kept_for.append(one.id)
        elif demand.unit.fits(reachable):
            passed.append(demand)
            if demand.overtaken >= MAX_OVERTAKEN:
                free = _kept(free, demand.unit)
                kept_for.append(demand.id)
    return Plan(grants, counted, tuple(kept_for), slots)


def minus(one: Resources, other: Resources) -> Resources:
    """What is left of `one`: nothing of a kind of which more is held than there is."""
    return Resources(max(0.0, one.cpu - other.cpu), max(0, one.memory - other.memory), max(0.0, one.gpu - other.gpu))


def _takes_what_is_short(taken: Resources, unit: Resources, free: Resources) -> bool:
    """Whether `taken` has something of what `unit` lacks."""
    return any(getattr(taken, kind) > 0 for kind in KINDS if _lacks(unit, free, kind))


def _lacks(unit: Resources, free: Resources, kind: str) -> bool:
    asked, there = float(getattr(unit, kind)), float(getattr(free, kind))
    return asked > there + SLACK


def _kept(free: Resources, unit: Resources) -> Resources:
    """What is left for others while room is kept for `unit`.

    All that is free of what it lacks; and so much as it asks of what is scarcer, which it has been waiting for already.
    Nothing of what is less scarce: while it waits for a GPU, others use the CPUs.
    """
    for kind in KINDS:
        if _lacks(unit, free, kind):
            return replace(free, **{kind: 0})
        free = replace(free, **{kind: max(0, getattr(free, kind) - getattr(unit, kind))})
    return free
