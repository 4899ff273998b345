"""Admission: which jobs may start where, and why the others wait.

Experiments and notebooks ask before they start. Endpoints do not wait in line: Ray Serve places their replicas, and
what they ask for counts as held from the moment that a user wants it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from submarine_ray.admission import explain, repository
from submarine_ray.admission.decide import Demand, Plan, Room, minus, plan
from submarine_ray.admission.explain import Holder
from submarine_ray.admission.placements import Placements
from submarine_ray.admission.tables import AdmissionRow
from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database, Session
from submarine_ray.spec.quantities import Resources

# How many that have room now are looked at, and how many that will have room once others end.
LOOK = 64
PATIENT_LOOK = 32
# Many may wait for the same, and each asks why every few seconds.
GLANCE_SECONDS = 1.0


class Claimant(Protocol):
    """A feature whose jobs hold room on clusters, and wait for it."""

    def holders(self, cluster: str) -> list[Holder]:
        """Its jobs there, one by one."""

    def waiting(self, cluster: str, within: Resources, limit: int) -> list[Demand]:
        """Those that wait for room and whose unit is no larger than `within`, the longest first."""

    def still_waiting(self, ids: Collection[str]) -> list[Demand]:
        """Those of the ids that wait for room."""


@dataclass(frozen=True)
class Picture:
    """One cluster at the moment of a decision. `let`: those that were let start and have not begun to hold."""

    total: Resources
    holders: Sequence[Holder]
    let: Mapping[str, int]
    waiting: Sequence[Demand]
    gone: Collection[str]
    plan: Plan


class Admission:
    """Decides for all features alike; several control services decide one after the other."""

    def __init__(self, database: Database, clusters: ClusterService) -> None:
        self._database = database
        self._clusters = clusters
        self.placements = Placements(clusters, self.in_use)
        self._claimants: list[Claimant] = []
        self._glances: dict[str, tuple[float, Picture | None]] = {}

    def add_claimant(self, claimant: Claimant) -> None:
        """Reckon with a feature's jobs."""
        self._claimants.append(claimant)

    def admit(self, cluster: str, wanting: Sequence[Demand], capacity: Capacity | None = None) -> Mapping[str, int]:
        """Those of `wanting` that may start now, with how many units each: their room is theirs from now on.

        It stays theirs until they neither hold it nor wait for it; asking again is no harm. `capacity`: what the
        cluster has, if the caller has just asked. Raises Unreachable.
        """
        capacity = capacity or self._clusters.capacity(cluster)
        if capacity.total is None:
            return {one.id: one.units for one in wanting}
        if not wanting:
            return {}
        asked = {one.id for one in wanting}
        with self._database.session(write=True) as session:
            if not self._clusters.lock(session, cluster):
                return {}
            book = repository.book(session, cluster)
            picture = self._picture(cluster, capacity, book, wanting)
            repository.strike(session, picture.gone)
            granted = {key: units for key, units in picture.plan.grants.items() if key in asked}
            self._write(session, cluster, book, picture, granted)
        return granted | {key: units for key, units in picture.let.items() if key in asked}

    def next_in_line(self, cluster: str) -> list[str]:
        """Those whose turn it is, if they asked now. Raises Unreachable."""
        capacity = self._clusters.capacity(cluster)
        return list(self._look(cluster, capacity).plan.grants) if capacity.total else []

    def why_waiting(self, cluster: str, demand: Resources, holder: str = "") -> str:
        """What there is no room for, and who holds it, in a sentence; `holder` (its id or name) itself waits.

        Raises Unreachable.
        """
        picture = self._glance(cluster)
        if picture is None:
            return f"Waiting for room on cluster {cluster!r}: others are before it."
        others = [one for one in picture.holders if holder not in (one.id, one.name)]
        kept_for = [one for one in picture.plan.kept_for if one != holder]
        why = explain.lack(demand, picture.total, others) or explain.line(kept_for, picture.plan.slots)
        return f"Waiting for room on cluster {cluster!r}: {why}."

    def in_use(self, cluster: str) -> Resources:
        """What all features' jobs hold of a cluster, and those that were let start."""
        with self._database.session() as session:
            book = repository.book(session, cluster)
        return _sum(self._holders(cluster, book, self._still(book)))

    def _glance(self, cluster: str) -> Picture | None:
        """How it is, or was a second ago; None where there is no bound. Raises Unreachable."""
        looked, picture = self._glances.get(cluster, (-GLANCE_SECONDS, None))
        if time.monotonic() > looked + GLANCE_SECONDS:
            capacity = self._clusters.capacity(cluster)
            picture = self._look(cluster, capacity) if capacity.total else None
            self._glances[cluster] = time.monotonic(), picture
        return picture

    def _look(self, cluster: str, capacity: Capacity) -> Picture:
        with self._database.session() as session:
            book = repository.book(session, cluster)
        return self._picture(cluster, capacity, book, ())

    def _picture(
        self, cluster: str, capacity: Capacity, book: Mapping[str, AdmissionRow], wanting: Sequence[Demand]
    ) -> Picture:
        total = capacity.total or Resources()
        # Before the holders: whoever begins to hold in between is seen twice, never not at all.
        still = self._still(book)
        holders = self._holders(cluster, book, still)
        room = Room(
            total,
            held=_sum(holders),
            lasting=_sum(one for one in holders if not one.ends),
            slots=capacity.starting - sum(one.starting for one in holders),
        )
        holding = {one.id for one in holders}
        let = {key: book[key].units for key in still if book[key].units}
        found = {one.id: one for one in [*self._waiting(cluster, room), *wanting] if one.id not in holding}
        waiting = [_in_line(one, book.get(one.id)) for one in found.values()]
        gone = [key for key in book if key not in still and key not in holding and key not in found]
        return Picture(total, holders, let, waiting, gone, plan(room, waiting, {one.id for one in wanting}))

    def _still(self, book: Mapping[str, AdmissionRow]) -> dict[str, Demand]:
        """Those of the book that wait; but none that now asks for something else than it was let have."""
        found = [one for claimant in self._claimants for one in claimant.still_waiting(list(book))] if book else []
        return {one.id: one for one in found if one.unit.times(book[one.id].units) == book[one.id].resources}

    def _holders(self, cluster: str, book: Mapping[str, AdmissionRow], still: Mapping[str, Demand]) -> list[Holder]:
        """All that hold something, with what they were let have; and those that were let start."""
        told = [one for claimant in self._claimants for one in claimant.holders(cluster)]
        found = [
            replace(one, resources=book[one.id].resources) if one.id in book and book[one.id].units else one
            for one in told
        ]
        known = {one.id for one in found}
        for key, demand in still.items():
            if book[key].units and key not in known:
                found.append(replace(Holder.of(demand, demand.takes_slot), resources=book[key].resources))
        return found

    def _waiting(self, cluster: str, room: Room) -> list[Demand]:
        """The first of those that have room now, and the first of those that will have once others end."""
        looks = [(minus(room.total, room.held), LOOK), (minus(room.total, room.lasting), PATIENT_LOOK)]
        if looks[0][0] == looks[1][0]:  # nothing there will end: the second would find those of the first
            del looks[1]
        asked = ((claimant, *look) for claimant in self._claimants for look in looks)
        return [one for claimant, size, limit in asked for one in claimant.waiting(cluster, size, limit)]

    @staticmethod
    def _write(
        session: Session, cluster: str, book: Mapping[str, AdmissionRow], picture: Picture, granted: Mapping[str, int]
    ) -> None:
        """Note who is let start, and the place in the line of those that wait."""
        for one in picture.waiting:
            units, overtaken = granted.get(one.id, 0), picture.plan.overtaken.get(one.id, one.overtaken)
            if not units and not overtaken and one.since_ms is not None:
                continue  # its place is its own, and there is nothing else to remember
            row = book.get(one.id)
            if row is None:
                row = AdmissionRow(id=one.id, cluster=cluster)
                session.add(row)
            held = one.unit.times(units)
            row.since_ms = now_ms() if one.since_ms is None else one.since_ms
            row.overtaken, row.units = overtaken, units
            row.cpu, row.memory, row.gpu = held.cpu, held.memory, held.gpu


def _in_line(demand: Demand, known: AdmissionRow | None) -> Demand:
    """A demand with what is remembered of it."""
    if known is None:
        return demand
    since_ms = known.since_ms if demand.since_ms is None else demand.since_ms
    return replace(demand, since_ms=since_ms, overtaken=known.overtaken)


def _sum(holders: Iterable[Holder]) -> Resources:
    return sum((one.resources for one in holders), Resources())
