"""A feature whose cluster is a dict, an engine whose workers are run by hand, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from submarine_ray.core import leases
from submarine_ray.core.clock import Clock
from submarine_ray.core.database import Database
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.leases import Lessee, Reconciled

LEASE_MS = 30_000
START_MS = 1_800_000_000_000


class Base(DeclarativeBase):
    """Tables of these tests alone."""


class ThingRow(Reconciled, Base):
    """Something that is to be `desired` on its cluster."""

    __tablename__ = "thing"

    cluster: Mapped[str] = mapped_column(String(63))
    desired: Mapped[str] = mapped_column(String(63), default="made")
    status: Mapped[str] = mapped_column(String(63), default="asked")


class Away(Exception):
    """The cluster does not answer."""


@dataclass(frozen=True)
class Make:
    what: str


@dataclass(frozen=True)
class Note:
    status: str


@dataclass
class Cluster:
    """What there is on a cluster; `calls` counts each change that was asked of it. Hooks run in the middle of a call."""

    things: dict[str, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    looking: Callable[[Sequence[str]], None] = lambda _keys: None
    making: Callable[[str], None] = lambda _key: None
    is_away: bool = False
    forgets: set[str] = field(default_factory=set)


class Things:
    """The feature."""

    name = "things"
    table = ThingRow
    expected = (Away,)

    def __init__(self, clusters: dict[str, Cluster], clock: Clock) -> None:
        self.clusters = clusters
        self.clock = clock
        self.poisoned: dict[str, Exception] = {}
        self.told: list[tuple[str, str]] = []
        self.writing: Callable[[str], None] = lambda _key: None

    def ready(self) -> None:
        pass

    def observe(self, cluster: str, rows: Sequence[ThingRow]) -> dict[str, str]:
        there = self.clusters[cluster]
        there.looking([row.id for row in rows])
        if there.is_away:
            raise Away("it does not answer")
        return dict(there.things)

    def decide(self, row: ThingRow, observed: dict[str, str]) -> Make | Note:
        if failure := self.poisoned.get(row.id):
            raise failure
        return Note(row.desired) if observed.get(row.id) == row.desired else Make(row.desired)

    def is_note(self, step: Make | Note) -> bool:
        return isinstance(step, Note)

    def perform(self, row: ThingRow, step: Make | Note, observed: dict[str, str]) -> Outcome:
        if isinstance(step, Note):
            return Outcome({"status": step.status, "next_check_ms": None})
        there = self.clusters[row.cluster]
        there.making(row.id)
        there.calls.append((row.id, step.what))
        if row.id not in there.forgets:
            there.things[row.id] = step.what
        return Outcome({"next_check_ms": self.clock.due_ms()})

    def failed(self, row: ThingRow, step: Make | Note | None, failure: Exception) -> Outcome | None:
        return None

    def write(self, session: Session, row: ThingRow, outcome: Outcome) -> bool:
        if "status" in outcome.values:
            self.writing(row.id)
        if not leases.apply(session, row, outcome.values):
            return False
        self.told += [(row.id, event.message) for event in outcome.events]
        return True

    def written(self, row: ThingRow, outcome: Outcome) -> None:
        pass


class ByHand:
    """Runs work when it is told to."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], None], /) -> None:
        self.work.append(work)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while wait and self.work:
            self.work.pop(0)()

    def run(self) -> None:
        """All that there is, and what comes of it."""
        while self.work:
            self.work.pop(0)()


class World:
    """A database, clusters and the time, and the services in it."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = START_MS
        self.database = Database(f"sqlite:///{directory}/things.db")
        Base.metadata.create_all(self.database.engine)
        self.clusters: dict[str, Cluster] = {}

    def service(self, name: str, bounds: Bounds = Bounds(), skew_ms: int = 0) -> Service:  # noqa: B008
        return Service(self, name, bounds, skew_ms)

    def add(self, *ids: str, cluster: str = "one", **values: Any) -> None:
        self.clusters.setdefault(cluster, Cluster())
        with self.database.session(write=True) as session:
            for id in ids:
                due = {"next_check_ms": self.now_ms, **values}
                session.add(ThingRow(id=id, cluster=cluster, generation=1, **due))

    def desire(self, id: str, what: str) -> None:
        with self.database.session(write=True) as session:
            row = session.get_one(ThingRow, id)
            row.desired, row.generation, row.next_check_ms = what, row.generation + 1, self.now_ms

    def rows(self) -> dict[str, ThingRow]:
        with self.database.session() as session:
            return {row.id: row for row in session.query(ThingRow)}

    def statuses(self) -> dict[str, str]:
        return {id: row.status for id, row in self.rows().items()}


class Service:
    """One control service, whose workers and heartbeat are run by hand."""

    def __init__(self, world: World, name: str, bounds: Bounds, skew_ms: int) -> None:
        # The clock by which leases are reckoned is the database server's for all; only the machine's own is apart.
        clock = Clock(lambda: world.now_ms + skew_ms, lambda: world.now_ms)
        clock.agree(world.now_ms)
        self.world = world
        self.workers = ByHand()
        self.feature = Things(world.clusters, clock)
        self.engine = Engine(
            self.feature, world.database, Lessee(name, LEASE_MS, own_clock=clock), bounds, self.workers
        )

    def tick(self) -> float:
        return self.engine.tick()

    def work(self) -> None:
        """Tick, and do all that is due."""
        for _ in range(20):
            self.tick()
            if not self.workers.work:
                return
            self.workers.run()


@contextmanager
def world(directory: Path) -> Iterator[World]:
    made = World(directory)
    try:
        yield made
    finally:
        made.database.close()
