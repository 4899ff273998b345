"""The engine on real threads, and what it costs the database."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from submarine_ray.core.clock import CLOCK, Clock
from submarine_ray.core.database import Database
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.leases import Lessee
from tests.conftest import MariaDb, wait_until
from tests.reconcile import fakes
from tests.reconcile.fakes import LEASE_MS, Base, Cluster, ThingRow, Things, World

ROWS, CLUSTERS, SECONDS = 200, 5, 60


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.db)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/things.db"
    if request.param == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        url = server.database("threads")
    made = Database(url)
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


def test_two_services_on_threads_do_each_of_many_once(database: Database) -> None:
    chance = random.Random(7)
    pauses = [chance.uniform(0, 0.01) for _ in range(ROWS)]
    clusters = {f"c{number}": Cluster() for number in range(CLUSTERS)}
    for cluster in clusters.values():
        cluster.making = lambda key: time.sleep(pauses[int(key)])
    with database.session(write=True) as session:
        for number in range(ROWS):
            on = f"c{number % CLUSTERS}"
            session.add(ThingRow(id=str(number), cluster=on, generation=1, next_check_ms=CLOCK.due_ms()))
    engines = [Engine(Things(clusters, CLOCK), database, Lessee(name, LEASE_MS)) for name in ("a", "b")]
    for engine in engines:
        engine.start()
    try:
        wait_until(lambda: statuses(database) == {"made": ROWS}, SECONDS, "everything is made")
    finally:
        for engine in engines:
            engine.stop()
    made = Counter(key for cluster in clusters.values() for key, _ in cluster.calls)
    assert len(made) == ROWS and set(made.values()) == {1}
    assert all(engine._hand.keys() == [] for engine in engines)


class Held:
    """Steps that go on once they may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = threading.Event()

    def __call__(self, key: str) -> None:
        self.begun.append(key)
        self.go_on.wait(SECONDS)

    def is_full(self) -> bool:
        return len(self.begun) == Bounds().steps_of_cluster


def test_a_service_that_stops_finishes_what_it_does_and_frees_the_rest(database: Database) -> None:
    held = Held()
    clusters = {"c": Cluster(making=held)}
    with database.session(write=True) as session:
        for number in range(ROWS):
            session.add(ThingRow(id=str(number), cluster="c", generation=1, next_check_ms=CLOCK.due_ms()))
    engine = Engine(Things(clusters, Clock()), database, Lessee("a", LEASE_MS))
    engine.start()
    wait_until(lambda: held.is_full() and engine._steps.waiting(), SECONDS, "others wait for the first steps")
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    wait_until(lambda: not engine._steps.waiting(), SECONDS, "what waits is dropped")
    held.go_on.set()
    stopping.join()
    with database.session() as session:
        assert session.query(ThingRow).filter(ThingRow.lock_token.is_not(None)).count() == 0
    calls = len(clusters["c"].calls)
    assert len(clusters["c"].things) == calls == Bounds().steps_of_cluster and not engine._beat.is_alive()


def test_a_step_that_hangs_keeps_no_service_from_stopping_and_only_its_own_row(database: Database) -> None:
    held = Held()
    clusters = {"hangs": Cluster(making=held), "well": Cluster()}
    with database.session(write=True) as session:
        for number in range(20):
            on = "hangs" if number else "well"
            session.add(ThingRow(id=f"{number:02}", cluster=on, generation=1, next_check_ms=CLOCK.due_ms()))
    engine = Engine(Things(clusters, Clock()), database, Lessee("a", LEASE_MS))
    engine.start()
    wait_until(lambda: len(engine._hand.keys()) == 19 and statuses(database), SECONDS, "all others hang, or wait")
    wait_until(held.is_full, SECONDS, "as many hang as may be begun")
    begun = time.monotonic()
    engine.stop(patience=0.2)
    assert time.monotonic() - begun < SECONDS / 2 and not engine._beat.is_alive()
    with database.session() as session:
        leased = session.query(ThingRow).filter(ThingRow.lock_token.is_not(None)).count()
    assert leased == Bounds().steps_of_cluster  # the rest is free for others
    assert not engine._steps.waiting()  # and is not begun here
    held.go_on.set()
    wait_until(lambda: len(clusters["hangs"].calls) == leased, SECONDS, "they go on, and are done once")


def statuses(database: Database) -> dict[str, int]:
    with database.session() as session:
        return dict(Counter(row.status for row in session.query(ThingRow) if row.next_check_ms is None))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fakes.world(tmp_path) as made:
        yield made


@contextmanager
def statements(world: World) -> Iterator[list[tuple[str, object]]]:
    heard: list[tuple[str, object]] = []

    def hear(_c: object, _cursor: object, statement: str, parameters: object, _x: object, _m: bool) -> None:
        if not statement.startswith("BEGIN"):
            heard.append((statement, parameters))

    event.listen(world.database.engine, "before_cursor_execute", hear)
    yield heard
    event.remove(world.database.engine, "before_cursor_execute", hear)


def test_an_idle_tick_asks_the_database_twice_and_by_an_index(world: World) -> None:
    service = world.service("a")
    world.add(*(f"x{number}" for number in range(50)))
    service.work()
    with statements(world) as heard:
        service.tick()
    assert len(heard) == 2, heard
    with statements(world) as claimed:
        world.add("late")
        service.tick()
    asked = [
        one for one in [*heard, *claimed] if re.match(r"SELECT thing\.(next_check_ms|id, thing\.cluster) \n", one[0])
    ]
    assert len(asked) >= 3
    for statement, parameters in asked:
        with world.database.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        assert "ix_thing_next_check_ms" in str(plan) or "thing_next_check_ms" in str(plan), (statement, plan)


def test_a_tick_that_claims_all_that_is_due_looks_for_no_more(world: World) -> None:
    service = world.service("a")
    world.add("x")
    with statements(world) as heard:
        service.tick()
    # What is due first; who is due, the claim and its rows; and when the next tick is worth it.
    assert [one[0].split()[0] for one in heard] == ["SELECT", "SELECT", "UPDATE", "SELECT", "SELECT"], heard


def test_many_due_rows_of_one_cluster_keep_no_other_cluster_waiting(world: World) -> None:
    service = world.service("a")
    world.add(*(f"x{number:03}" for number in range(300)), cluster="busy")
    world.now_ms += 1
    world.add("late", cluster="calm")
    service.tick()
    assert world.rows()["late"].lock_token is not None
