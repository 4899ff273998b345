"""Services on one database, interleaved at every transaction and every call of a cluster, while things break."""

from __future__ import annotations

import functools
import os
from tempfile import TemporaryDirectory

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from submarine_ray.core.database import Database
from tests.conftest import MariaDb
from tests.reconcile.fakes import Base
from tests.reconcile.scheduler import Chaos, Faults

NUMBERS = st.integers(0, 999)
SERVICES = st.integers(0, 2)
TEMPORARY = TemporaryDirectory()
EXAMPLES = int(os.environ.get("SUBMARINE_EXAMPLES", "25"))  # `make mutants` takes fewer: each mutant pays for them
SHORT = settings(
    max_examples=EXAMPLES, stateful_step_count=30, deadline=None, derandomize=True, database=None, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@functools.cache
def opened(url: str) -> Faults:
    """One database for all examples: making one takes longer than an example."""
    database = Database(url)
    Base.metadata.create_all(database.engine)
    return Faults(database)


class Services(RuleBasedStateMachine):
    """What users desire, time, and two services that work: nothing breaks, so nothing is done twice."""

    url = f"sqlite:///{TEMPORARY.name}/things.db"
    services = 2
    is_kind = True

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = Chaos(opened(self.url), seed, self.services, self.is_kind)
        for number in range(4):
            self.world.desire(self.world.actors[0], number)

    @rule(which=SERVICES)
    def tick(self, which: int) -> None:
        self.world.tick(self._actor(which), 0)

    @rule(which=SERVICES, number=NUMBERS)
    def work(self, which: int, number: int) -> None:
        self.world.work(self._actor(which), number)

    @rule(which=SERVICES, number=NUMBERS)
    def all_work(self, which: int, number: int) -> None:
        for _ in range(10):
            self.world.work(self._actor(which), number)

    @rule(number=NUMBERS)
    def much(self, number: int) -> None:
        for _ in range(10 + number % 20):
            self.world.anything()

    @rule(which=SERVICES)
    def heartbeat(self, which: int) -> None:
        self.world.heartbeat(self._actor(which), 0)

    @rule(number=NUMBERS)
    def desire(self, number: int) -> None:
        self.world.desire(self.world.actors[0], number)

    @rule(number=NUMBERS)
    def pass_time(self, number: int) -> None:
        self.world.pass_time(self.world.actors[0], number)

    @rule(which=SERVICES, number=NUMBERS)
    def set_clock(self, which: int, number: int) -> None:
        self.world.set_clock(self._actor(which), number)

    @rule(number=NUMBERS)
    def set_server(self, number: int) -> None:
        self.world.set_server(self.world.actors[0], number)

    @rule(which=SERVICES, number=NUMBERS)
    def set_server_under_a_step(self, which: int, number: int) -> None:
        """One has looked, and its steps wait for a worker; the clock is set forward, and another looks for free rows."""
        one, other = self._actor(which), self._actor(which + 1)
        self.world.is_calm = True  # nothing else comes between
        self.world.desire(one, number)
        self.world.tick(one, 0)
        self.world.work(one, number)
        for back_and_forward in (0, 2):
            self.world.set_server(one, back_and_forward)
        self.world.tick(other, 0)
        for _ in range(4):
            self.world.work(other, number)
        self.world.is_calm = False

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()

    def _actor(self, which: int) -> object:
        return self.world.actors[which % self.services]


class Breaking(Services):
    """The same while services crash and stand still, clusters are away, and the database fails at any statement."""

    is_kind = False

    @rule(which=SERVICES)
    def crash(self, which: int) -> None:
        self.world.crash(self._actor(which), 0)

    @rule(which=SERVICES)
    def pause(self, which: int) -> None:
        self.world.pause(self._actor(which), 0)

    @rule(number=NUMBERS)
    def outage(self, number: int) -> None:
        self.world.outage(self.world.actors[0], number)

    @rule(number=NUMBERS)
    def break_database(self, number: int) -> None:
        self.world.break_database(self.world.actors[0], number)


class ThreeServices(Breaking):
    services = 3


def test_nothing_is_made_twice_while_nothing_breaks() -> None:
    run(Services)


@pytest.mark.parametrize("machine", [Breaking, ThreeServices])
def test_no_row_is_in_two_steps_or_lost_while_things_break(machine: type[Services]) -> None:
    run(machine)


@pytest.mark.long
@pytest.mark.parametrize("machine", [Services, Breaking, ThreeServices])
def test_many_more_ways_to_break(machine: type[Services]) -> None:
    """The same ways at each run; SUBMARINE_SEARCH=1 tries others, and prints the line that repeats what fails."""
    is_same = "SUBMARINE_SEARCH" not in os.environ
    run(machine, settings(SHORT, max_examples=150, stateful_step_count=40, derandomize=is_same))


@pytest.mark.db
@pytest.mark.parametrize("machine", [Services, Breaking])
def test_the_same_on_mariadb(machine: type[Services], mariadb: MariaDb) -> None:
    on_server = type(machine.__name__, (machine,), {"url": mariadb.database(f"interleaved_{machine.__name__.lower()}")})
    run(on_server, settings(SHORT, max_examples=6))


def run(machine: type[Services], how: settings = SHORT) -> None:
    test = machine.TestCase
    test.settings = how
    with structlog.testing.capture_logs():  # tracebacks of what is broken on purpose would take a third of the time
        test("runTest").debug()
