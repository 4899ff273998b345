"""Several services on one database, interleaved by a seeded scheduler, and what may go wrong with each of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from submarine_ray.core import leases
from submarine_ray.core.clock import Clock
from submarine_ray.core.database import Database
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.leases import Lessee
from tests.reconcile.fakes import LEASE_MS, START_MS, Away, ByHand, Cluster, Make, Note, ThingRow, Things

CLUSTERS = ("one", "two", "three")
BOUNDS = Bounds(batch=3, looks=3, looks_of_cluster=1, steps=4, steps_of_cluster=2)
DEPTH = 2
LONG_WHILE, SHORT_WHILE = 0.06, 0.25
"""How often so much happens at a line."""
# What happens, and how often.
KIND = {"tick": 6, "work": 12, "heartbeat": 2, "desire": 2, "pass_time": 3, "set_clock": 1, "set_server": 1}
UNKIND = {"crash": 1, "pause": 1, "outage": 1, "break_database": 2}


class Crashed(BaseException):
    """The process is gone: nothing after this line happens."""


class Refused(Exception):
    """The cluster knows something newer: what is declared carries the generation as its fencing number."""


class Faults:
    """Lets the n-th statement or commit from now on fail, before or after it took effect."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.left, self.is_after, self.is_answer_lost = -1, False, False
        event.listen(database.engine, "before_cursor_execute", lambda *_: self._before())
        event.listen(database.engine, "after_cursor_execute", lambda *_: self._after())
        event.listen(database.engine, "commit", lambda _: self._commit())

    def arm(self, statements: int, is_after: bool) -> None:
        self.left, self.is_after, self.is_answer_lost = statements, is_after, False

    def disarm(self) -> None:
        self.arm(-1, False)

    @contextmanager
    def session(self, write: bool) -> Iterator[Session]:
        with self.database.session(write) as session:
            yield session
        if self.is_answer_lost:
            self.is_answer_lost = False
            raise DatabaseUnavailable("lost after the commit")

    def _before(self) -> None:
        if self.left == 0 and not self.is_after:
            self._fail()
        if not self.is_after:
            self.left = max(-1, self.left - 1)

    def _after(self) -> None:
        if self.left == 0 and self.is_after:
            self._fail()
        if self.is_after:
            self.left = max(-1, self.left - 1)

    def _commit(self) -> None:
        if self.is_after:
            self.is_answer_lost = self.left == 0
        self._before()
        if self.is_after:
            self.left = max(-1, self.left - 1)

    def _fail(self) -> None:
        self.left = -1
        raise OperationalError("the connection is lost", None, Exception())


class Actor:
    """One control service. Its worker threads and its heartbeat go on while its tick stands at some line."""

    def __init__(self, world: Chaos, name: str) -> None:
        self.world, self.name = world, name
        self.skew_ms = 0
        self.is_alive, self.is_paused, self.is_ticking = True, False, False
        self.faults = 0
        self.clock = Clock(lambda: world.now_ms + self.skew_ms, lambda: world.now_ms)
        self.clock.agree(world.server_ms())
        self.lessee = Lessee(name, LEASE_MS, own_clock=self.clock)
        self.workers = ByHand()
        self.feature = ChaosThings(self)
        self.engine = Engine(self.feature, self, self.lessee, BOUNDS, self.workers)  # type: ignore[arg-type]

    @contextmanager
    def session(self, write: bool = False) -> Iterator[Session]:
        """The database as this service reaches it: between two transactions anything may happen elsewhere."""
        self.world.point(self)
        try:
            with self.world.session(write) as session:
                self.clock.agree(self.world.server_ms())
                yield session
        except DatabaseUnavailable:
            self.world.fault()
            raise
        self.world.point(self)

    def agree(self) -> None:
        with self.world.session(write=True) as session:
            self.clock.agree(self.world.server_ms())
            leases.agreed_ms(session, ThingRow, self.lessee)

    def recover(self) -> None:
        with self.world.session(write=True) as session:
            leases.recover(session, ThingRow, self.lessee)

    def tick(self) -> None:
        if self.is_ticking:
            return
        self.is_ticking = True
        try:
            self.engine.tick()
        except DatabaseUnavailable:
            pass  # as core.loop: it is tried again
        finally:
            self.is_ticking = False

    def heartbeat(self) -> None:
        try:
            self.engine.heartbeat()
        except DatabaseUnavailable:
            pass

    def work(self, number: int) -> None:
        if self.workers.work:
            self.workers.work.pop(number % len(self.workers.work))()


class ChaosThings(Things):
    """The feature, watched: who is in a step of which row."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor.world.clusters, actor.clock)
        self.actor = actor
        self.world = actor.world

    def observe(self, cluster: str, rows: Sequence[ThingRow]) -> dict[str, str]:
        self.world.point(self.actor)
        found = super().observe(cluster, rows)
        self.world.point(self.actor)
        return found

    def perform(self, row: ThingRow, step: Make | Note, observed: dict[str, str]) -> Outcome:
        if isinstance(step, Note):
            return super().perform(row, step, observed)
        with self.world.in_step(self.actor, row.id) as begun:
            self.world.point(self.actor)
            there = self.clusters[row.cluster]
            if there.is_away:
                raise Away("in the middle of it")
            if there.generations.get(row.id, 0) > row.generation:
                raise Refused("there is a newer one")
            there.generations[row.id] = row.generation
            self.world.called(row.id, step.what, begun)
            outcome = super().perform(row, step, observed)
            self.world.point(self.actor, long_while=0.4)
            return outcome

    def write(self, session: Session, row: ThingRow, outcome: Outcome) -> bool:
        found = session.execute(
            select(ThingRow.lock_token, ThingRow.generation).where(ThingRow.id == row.id).with_for_update()
        ).one()
        written = super().write(session, row, outcome)
        is_held, is_wanted = found.lock_token == row.lock_token, found.generation == row.generation
        if is_held:
            self.world.freed.add((row.id, row.lock_token))
        self.world.must(is_held or not written, f"{self.actor.name} wrote {row.id} without its lease")
        self.world.must(is_wanted or not written, f"{self.actor.name} wrote what is no longer wanted of {row.id}")
        self.world.must(written or not (is_held and is_wanted), f"{self.actor.name} lost what came of {row.id}")
        return written


class Chaos:
    """A database, clusters, the time, and services. `point` is called wherever others may come between."""

    def __init__(self, faults: Faults, seed: int, services: int, is_kind: bool = False) -> None:
        """`is_kind`: nothing breaks in this world; there is but time, and others who work."""
        self.faults, self.random = faults, random.Random(seed)
        self.faults.disarm()
        self.is_kind, self.happens = is_kind, (KIND if is_kind else KIND | UNKIND).items()
        self.now_ms, self.server_set_ms = START_MS, 0
        self.clusters = {name: Cluster() for name in CLUSTERS}
        self.depth = 0
        self.is_calm = False
        self.desires = self.happened = 0
        self.calls: dict[tuple[str, str], int] = {}
        self.steps: list[tuple[Actor, str, int]] = []
        self.broken: list[BaseException] = []
        self.freed: set[tuple[str, str | None]] = set()
        """Rows and tokens of leases that their own holder has ended; he lets go of the row right after it."""
        with self.session(write=True) as session:
            session.execute(delete(ThingRow))
        self.actors = [Actor(self, f"service-{number}") for number in range(services)]
        for actor in self.actors:
            actor.recover()

    @contextmanager
    def session(self, write: bool = False) -> Iterator[Session]:
        with self.faults.session(write) as session:
            if session.get_bind().dialect.name != "sqlite":
                session.execute(text(f"SET timestamp = {self.server_ms() / 1000:.3f}"))
            yield session

    def server_ms(self) -> int:
        return self.now_ms + self.server_set_ms

    # What happens

    def point(self, actor: Actor, long_while: float = 0.05) -> None:
        """A line at which a service stands while others, its own other threads among them, go on.

        `long_while`: how often it stands there for longer than a lease.
        """
        self._check_alive(actor)
        if self.depth < DEPTH and not self.is_calm and (chance := self.random.random()) < long_while + 0.2:
            self.depth += 1
            try:
                if chance < long_while:
                    self.long_while(actor)
                else:
                    for _ in range(self.random.randint(1, 3)):
                        self.anything()
            finally:
                self.depth -= 1
            if actor.is_paused:
                self.fault()
                actor.is_paused = False
        self._check_alive(actor)

    def long_while(self, actor: Actor) -> None:
        """The others take what is free by then. If things break, the service has been stopped, and no lease renewed."""
        is_stopped = not self.is_kind and self.random.random() < 0.7
        if is_stopped:
            self.fault()
            actor.is_paused = True
        if self.random.random() < 0.3:
            self.desire(actor, self.random.randrange(1000))
        self.advance(self.random.choice((LEASE_MS + 1, 3 * LEASE_MS)))
        actor.is_paused = actor.is_paused and self.random.random() < 0.5
        for one in self.random.sample(self.actors, len(self.actors)):
            self.tick(one, 0)
            for _ in range(self.random.randint(0, 8)):
                self.work(one, self.random.randrange(1000))
        if is_stopped:
            self.fault()  # what it was in the middle of goes on, though another has done it meanwhile

    def anything(self) -> None:
        """One thing of all that may happen."""
        actor = self.random.choice(self.actors)
        names, weights = zip(*self.happens, strict=True)
        what = getattr(self, self.random.choices(names, weights)[0])
        what(actor, self.random.randrange(1000))

    def tick(self, actor: Actor, _number: int) -> None:
        if not actor.is_paused:
            self._run(actor, actor.tick)

    def work(self, actor: Actor, number: int) -> None:
        """One of what waits for a worker."""
        if not actor.is_paused:
            self._run(actor, lambda: actor.work(number))

    def heartbeat(self, actor: Actor, _number: int) -> None:
        if not actor.is_paused:
            self._run(actor, actor.heartbeat)

    def crash(self, actor: Actor, _number: int) -> None:
        """kill -9: its threads, its memory and its work are gone; another of its name comes, and frees what it held."""
        self.fault()
        actor.is_alive = False
        place = self.actors.index(actor)
        for _ in range(3):
            try:
                # Who starts cannot know that the server's clock was set just now: another has seen it.
                self.actors[place - 1].agree()
                self.actors[place] = Actor(self, actor.name)
                self.actors[place].recover()
                return
            except DatabaseUnavailable:
                continue

    def pause(self, actor: Actor, _number: int) -> None:
        """SIGSTOP, or SIGCONT."""
        self.fault()
        actor.is_paused = not actor.is_paused

    def set_clock(self, actor: Actor, number: int) -> None:
        actor.skew_ms = (-60_000, 0, 60_000)[number % 3]

    def set_server(self, _actor: Actor, number: int) -> None:
        """Somebody sets the clock of the database's machine; not twice before the services have seen it."""
        self.server_set_ms = (-60_000, 0, 60_000)[number % 3]
        for actor in self.actors:
            actor.clock.agree(self.server_ms())

    def desire(self, _actor: Actor, number: int) -> None:
        """A user wants something, of a new thing or of one that there is."""
        self.desires += 1
        what, id = f"v{self.desires}", f"thing-{number % 5}"
        try:
            with self.session(write=True) as session:
                row = session.get(ThingRow, id)
                if row is None:
                    cluster = CLUSTERS[number % len(CLUSTERS)]
                    session.add(
                        ThingRow(id=id, cluster=cluster, generation=1, next_check_ms=self.server_ms(), desired=what)
                    )
                else:
                    row.desired, row.generation, row.next_check_ms = what, row.generation + 1, self.server_ms()
        except DatabaseUnavailable:
            self.fault()

    def outage(self, _actor: Actor, number: int) -> None:
        cluster = self.clusters[CLUSTERS[number % len(CLUSTERS)]]
        cluster.is_away = not cluster.is_away
        self.fault()

    def break_database(self, _actor: Actor, number: int) -> None:
        self.faults.arm(number % 12, is_after=number % 2 == 0)

    def pass_time(self, _actor: Actor, number: int) -> None:
        """Who is alive and is not paused renews his leases meanwhile."""
        self.advance((1, 5_000, LEASE_MS // 3, LEASE_MS + 1, 3 * LEASE_MS)[number % 5])

    def advance(self, ms: int) -> None:
        while ms > 0:
            self.now_ms += min(ms, LEASE_MS // 3)
            ms -= LEASE_MS // 3
            for actor in list(self.actors):
                self.heartbeat(actor, 0)

    def settle(self) -> None:
        """The faults stop and time passes."""
        self.is_calm = True
        self.faults.disarm()
        for cluster in self.clusters.values():
            cluster.is_away = False
        for actor in self.actors:
            actor.is_paused = False
        for _ in range(60):
            for actor in self.actors:
                actor.tick()
                while actor.workers.work:
                    actor.work(0)
            if self.is_done():
                break
            self.advance(LEASE_MS)
        self.check()
        assert self.is_done(), f"never carried out: {self.rows()}"

    # What must be so

    def fault(self) -> None:
        """Something that may make a step be taken twice."""
        self.happened += 1

    def called(self, id: str, what: str, begun: int) -> None:
        """A change of a cluster was asked for: twice for one desire only if something broke since either step began."""
        before = self.calls.get((id, what))
        self.must(
            before is None or min(before, begun) < self.happened, f"{what} of {id} was made twice without a reason"
        )
        self.calls[id, what] = begun

    @contextmanager
    def in_step(self, actor: Actor, id: str) -> Iterator[int]:
        self.must(actor.engine._hand.holds(id), f"{actor.name} begins a step of {id}, which it does not hold")
        held = [one for one in self.actors if one is not actor and one.engine._hand.holds(id)]
        others = [one.name for one in held if (id, one.engine._hand.tokens()[id]) not in self.freed]
        self.must(not others, f"{actor.name} begins a step of {id}, which {others} hold, too")
        for other, busy, happened in self.steps:
            if busy == id and other.is_alive:
                self.must(not other.engine._hand.holds(id), f"{id} is in two steps at once")
                self.must(happened < self.happened, f"{id} was taken from {other.name} without a reason")
        self.steps.append((actor, id, self.happened))
        try:
            yield self.happened
        finally:
            self.steps.remove(next(step for step in self.steps if step[:2] == (actor, id)))

    def check(self) -> None:
        """Of all services that live, one at most believes that it holds a row."""
        if self.broken:
            raise self.broken[0]
        for id in {key for actor in self.actors for key in actor.engine._hand.tokens()}:
            holders = [actor.name for actor in self.actors if actor.engine._hand.holds(id)]
            assert len(holders) <= 1, f"{holders} hold {id}"

    def is_done(self) -> bool:
        return all(
            row.status == row.desired == self.clusters[row.cluster].things.get(row.id) and row.next_check_ms is None
            for row in self.rows()
        )

    def rows(self) -> list[Any]:
        with self.session() as session:
            return list(session.scalars(select(ThingRow)))

    def must(self, is_so: bool, message: str) -> None:
        """Note what must not be; `check` raises it. The engine would take an exception here for a step that failed."""
        if not is_so:
            self.broken.append(AssertionError(message))

    def _check_alive(self, actor: Actor) -> None:
        if not actor.is_alive:
            raise Crashed

    def _run(self, actor: Actor, call: Any) -> None:
        try:
            call()
        except Crashed:
            if actor.is_alive:
                raise
